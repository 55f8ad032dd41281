"""The path of a request leads to what a snapshot lists, and nowhere else, however it is spelled."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.support.agents import Agent, Mesh


class Site(NamedTuple):
    """An agent with two datasets of folders, beside a file of neither."""

    agent: Agent
    token: str
    """Of the dataset `data` alone."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("paths")
    for path, text in (
        *(("data/a/b.txt", "inside"), ("data/%2e%2e", "odd"), ("data/ü", "umlaut")),
        *(("other/secret", "hunter2"), ("outside.txt", "hunter2")),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    with Mesh(folder) as mesh:
        (agent,) = mesh.start("one")
        for name in ("data", "other"):
            agent.run("dataset", "create", name, (folder / name).as_uri())
        token = agent.run("token", "--dataset", "data", "--ttl", "1h").stdout.strip()
        yield Site(agent, token)


def ask(site: Site, target: str, *, by_token: bool) -> tuple[int, str]:
    """Status and body of a GET with exactly that target."""
    if by_token:
        host, _, port = site.agent.http.rpartition(":")
        connection = socket.create_connection((host, int(port)), timeout=30)
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        connection.connect(str(site.agent.socket))
    with connection:
        lines = [f"GET {target} HTTP/1.1", "Host: agent", "Connection: close"]
        if by_token:
            lines.append(f"Authorization: Bearer {site.token}")
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode("latin-1")


BASE = "/v1/datasets/data/files"


@pytest.mark.parametrize("by_token", [True, False])
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/a/b.txt", "inside"),
        ("/a%2Fb.txt", "inside"),
        ("/%61/b%2etxt", "inside"),
        ("//a///b.txt", "inside"),
        ("/a/b.txt?path=../../outside.txt", "inside"),
        ("/%252e%252e", "odd"),
        ("/%C3%BC", "umlaut"),
    ],
)
def test_spellings_of_a_listed_path_give_its_bytes(
    site: Site, path: str, text: str, by_token: bool
) -> None:
    assert ask(site, BASE + path, by_token=by_token) == (200, text)


@pytest.mark.parametrize("by_token", [True, False])
@pytest.mark.parametrize(
    "target",
    [
        f"{BASE}/../outside.txt",
        f"{BASE}/a/../../outside.txt",
        f"{BASE}/%2e%2e/outside.txt",
        f"{BASE}/..%2foutside.txt",
        f"{BASE}/%2e%2e%2foutside.txt",
        f"{BASE}/%252e%252e/outside.txt",
        f"{BASE}/..%5coutside.txt",
        f"{BASE}/%c0%ae%c0%ae/outside.txt",
        f"{BASE}/a/./b.txt",
        f"{BASE}/a/../a/b.txt",
        f"{BASE}/a/b.txt%00",
        f"{BASE}/%00",
        f"{BASE}/a/b.txt/b.txt",
        f"{BASE}/a",
        f"{BASE}/",
        f"{BASE}//etc/passwd",
        f"{BASE}/{'../' * 30}etc/passwd",
        f"{BASE}/{'a/' * 4000}b.txt",
        f"{BASE}/../../other/files/secret",
        f"{BASE}/%2e%2e/%2e%2e/other/files/secret",
        "/v1/datasets/data/../other/files/secret",
        "/v1/datasets/data%2f..%2fother/files/secret",
        "/v1/datasets/data%00/files/a/b.txt",
        "/v1/datasets/./data/files/../outside.txt",
        "/v1/datasets//files/a/b.txt",
        "/../../etc/passwd",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_ever_found(site: Site, target: str, by_token: bool) -> None:
    status, body = ask(site, target, by_token=by_token)
    assert 400 <= status < 500, body
    assert "hunter2" not in body
    assert "root:" not in body


def test_a_token_of_one_dataset_opens_no_other(site: Site) -> None:
    assert ask(site, "/v1/datasets/other/files/secret", by_token=False) == (200, "hunter2")
    for target in (
        "/v1/datasets/other/files/secret",
        "/v1/datasets/%6fther/files/secret",
        "http://agent/v1/datasets/other/files/secret",
    ):
        status, body = ask(site, target, by_token=True)
        assert (status, "hunter2" in body) in ((401, False), (403, False))


def test_a_body_that_is_too_long_for_tcp_is_told_so(site: Site) -> None:
    url = f"http://{site.agent.http}/v1/loads"
    request = urllib.request.Request(url, data=b"x" * (2 << 20), method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    with caught.value as answer:
        assert "ask an agent by its own socket" in answer.read().decode()
