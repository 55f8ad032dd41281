"""Who is told which metrics: datasets' names are not for everybody who reaches the port."""

import secrets
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from meshcache.agent.trust import guestkey, meshkey, metricstoken
from meshcache.agent.trust.auth import Keys
from meshcache.errors import InvalidInput
from tests.support.agents import Agent, Mesh

TOKEN = "a token of a scraper"
ANY = "meshcache_store_quota_bytes"


def scrape(agent: Agent, authorization: str = "") -> tuple[int, str]:
    headers = {"Authorization": authorization} if authorization else {}
    request = urllib.request.Request(f"http://{agent.http}/metrics", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def proof(keys: Keys) -> str:
    return keys.sign("GET", "/metrics", "", b"", time.time(), secrets.token_hex(16))


def named(agent: Agent, folder: Path) -> None:
    """Make a dataset with a name that nobody is to know."""
    folder.mkdir()
    (folder / "file").write_text("x")
    agent.run("dataset", "create", "secret-plans", f"file://{folder}")


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


@pytest.fixture
def agent(mesh: Mesh, token_file: Path, tmp_path: Path) -> Agent:
    """One that others can reach: it gossips beyond loopback."""
    flags = ("--gossip", "0.0.0.0:0", "--advertise", "127.0.0.1", "--file-root", str(tmp_path))
    started = mesh.agent("one", *flags, "--metrics-token-file", str(token_file)).start()
    named(started, tmp_path / "origin")
    return started


def test_a_stranger_is_told_no_datasets_name_and_a_scraper_with_the_token_is(agent: Agent) -> None:
    status, text = scrape(agent)
    assert status == 200
    assert ANY in text
    assert "secret-plans" not in text
    assert 'dataset="' not in text
    status, text = scrape(agent, f"Bearer {TOKEN}")
    assert status == 200
    assert ANY in text
    assert 'meshcache_dataset_total_bytes{dataset="secret-plans"} 1.0' in text
    assert scrape(agent, "Bearer some other token")[0] == 401
    assert scrape(agent, "Bearer \xff")[0] == 401


def test_a_token_that_was_replaced_is_worth_nothing_at_once(agent: Agent, token_file: Path) -> None:
    token_file.write_text("another token of a scraper")
    assert scrape(agent, f"Bearer {TOKEN}")[0] == 401
    assert "secret-plans" in scrape(agent, "Bearer another token of a scraper")[1]
    token_file.unlink()
    assert scrape(agent, "Bearer another token of a scraper")[0] == 401


def test_the_mesh_key_and_the_socket_show_names_and_a_guests_key_does_not(
    agent: Agent, mesh: Mesh
) -> None:
    (key,) = meshkey.load(mesh.key, print)
    assert "secret-plans" in scrape(agent, proof(Keys(key)))[1]
    assert 'dataset="secret-plans"' in agent.get("/metrics")
    guest = guestkey.guest_key(key, "secret-plans")
    assert scrape(agent, proof(Keys(guest.secret, guest=guest.dataset)))[0] == 403


def test_an_agent_that_only_its_own_machine_can_reach_tells_all(mesh: Mesh, tmp_path: Path) -> None:
    (alone,) = mesh.start("one")
    named(alone, tmp_path / "origin")
    assert "secret-plans" in scrape(alone)[1]
    assert scrape(alone, f"Bearer {TOKEN}")[0] == 401, "it has no token"


@pytest.mark.parametrize("content", [None, b"", b"too short\n"])
def test_a_file_without_a_token_is_told_of(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidInput, match=f"--metrics-token-file {file}: "):
        metricstoken.load(file)
