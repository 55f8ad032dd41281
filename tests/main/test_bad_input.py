"""What is wrong gets one clear line and a non-zero exit code, and leaves nothing behind."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from meshcache.fuse.mountinfo import mount_at
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh, command, environment
from tests.support.seaweed import free_ports


@pytest.fixture
def one(mesh: Mesh) -> Agent:
    (agent,) = mesh.start("one")
    return agent


def refused(*arguments: str, says: str, code: int = 1) -> None:
    """The command ends with that code and one line on stderr that says so."""
    done = command(*arguments, check=False)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert says in lines[0]
    assert done.returncode == code
    assert done.stdout == ""


def create(agent: Agent, url: str, *flags: str) -> tuple[str, ...]:
    return ("dataset", "create", "bad", url, *flags, "--socket", str(agent.socket))


def nothing_was_made(agent: Agent) -> None:
    assert agent.json("dataset", "list") == []


def test_an_origin_that_cannot_be_reached(one: Agent) -> None:
    (port,) = free_ports(1)
    endpoint = f"endpoint=http://127.0.0.1:{port}"
    flags = ("--option", endpoint, "--option", "anonymous=true", "--option", "addressing=path")
    refused(*create(one, "s3://bucket", *flags), says=f"127.0.0.1:{port}")
    refused(*create(one, f"http://127.0.0.1:{port}/file"), says=f"127.0.0.1:{port}")
    nothing_was_made(one)


def test_a_bucket_that_is_not_there(one: Agent, origin: Origin) -> None:
    refused(*create(one, "s3://no-such-bucket", *origin.flags()), says="no-such-bucket")
    nothing_was_made(one)


def test_wrong_credentials(one: Agent, origin: Origin) -> None:
    origin.put("file", b"x")
    origin.secret.write_text("hunter2")
    done = command(*create(one, f"s3://{origin.bucket}", *origin.flags()), check=False)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "hunter2" not in done.stderr, "a secret is never shown"
    nothing_was_made(one)


def test_a_secret_file_that_is_missing(one: Agent, origin: Origin) -> None:
    origin.secret.unlink()
    refused(*create(one, f"s3://{origin.bucket}", *origin.flags()), says=str(origin.secret))
    nothing_was_made(one)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://host/x", "begins with s3://"),
        ("not a url", "begins with s3://"),
        ("s3://", "bucket"),
        ("file://relative/path", "file://"),
        ("file:///no/such/folder", "/no/such/folder"),
    ],
)
def test_a_url_that_cannot_be(one: Agent, url: str, says: str) -> None:
    done = command(*create(one, url), check=False)
    assert done.returncode in (1, 2)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert says in lines[0]
    nothing_was_made(one)


def test_an_option_that_nothing_knows(one: Agent) -> None:
    done = command(*create(one, "s3://bucket", "--option", "endpiont=http://x"), check=False)
    assert done.returncode in (1, 2)
    assert "endpiont" in done.stderr
    nothing_was_made(one)


def test_a_dataset_that_is_there_already_stays_as_it_is(one: Agent, origin: Origin) -> None:
    origin.put("file", b"x")
    origin.create(one, "twice")
    before = one.json("dataset", "show", "twice")
    refused(
        *("dataset", "create", "twice", "file:///tmp", "--socket", str(one.socket)),
        says="exists already",
    )
    after = one.json("dataset", "show", "twice")
    assert after["snapshot"] == before["snapshot"]


def agent(tmp_path: Path, *flags: str, code: int, says: str) -> None:
    """`meshcache agent` with these flags ends at once, with one line, and leaves nothing."""
    cache = tmp_path / "cache"
    control = tmp_path / "agent.sock"
    refused(
        *("agent", "--cache-dir", str(cache), "--socket", str(control), *flags),
        code=code,
        says=says,
    )
    assert not control.exists()


def test_a_size_that_does_not_parse(tmp_path: Path) -> None:
    agent(tmp_path, "--cache-size", "10 bananas", code=2, says="'10 bananas' is not a size")
    assert not (tmp_path / "cache").exists()


def test_a_key_file_that_is_missing(tmp_path: Path) -> None:
    missing = tmp_path / "no.key"
    agent(tmp_path, "--mesh-key-file", str(missing), "--cache-size", "64MiB", code=2, says="no.key")


def test_listening_beyond_loopback_without_a_key(tmp_path: Path) -> None:
    agent(tmp_path, "--listen", "0.0.0.0:0", code=2, says="--mesh-key-file")


@pytest.mark.parametrize("flag", ["--listen", "--gossip"])
def test_a_port_that_is_taken(tmp_path: Path, flag: str) -> None:
    other = {"--listen": "--gossip", "--gossip": "--listen"}[flag]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        agent(
            tmp_path,
            *(flag, f"127.0.0.1:{port}", other, "127.0.0.1:0", "--cache-size", "64MiB"),
            code=1,
            says=str(port),
        )


def test_a_second_agent_on_the_same_cache_folder(one: Agent, tmp_path: Path) -> None:
    refused(
        *("agent", "--cache-dir", str(one.cache), "--socket", str(tmp_path / "other.sock")),
        *("--listen", "127.0.0.1:0", "--gossip", "127.0.0.1:0"),
        says=str(one.cache),
    )
    assert one.states() == {"one": "alive"}


def test_a_second_agent_on_the_same_socket(one: Agent, tmp_path: Path) -> None:
    refused(
        *("agent", "--cache-dir", str(tmp_path / "other"), "--socket", str(one.socket)),
        *("--listen", "127.0.0.1:0", "--gossip", "127.0.0.1:0", "--cache-size", "64MiB"),
        says=str(one.socket),
    )
    assert one.states() == {"one": "alive"}


def test_no_agent_at_the_socket(tmp_path: Path) -> None:
    refused("members", "--socket", str(tmp_path / "none.sock"), says="none.sock")


@pytest.mark.fuse
class TestMount:
    """What is wrong about a mount."""

    @pytest.fixture
    def data(self, one: Agent, origin: Origin) -> Agent:
        origin.put("file", b"x")
        origin.create(one)
        return one

    def mount(self, agent: Agent, dataset: str, where: Path, says: str, code: int = 1) -> None:
        refused("mount", dataset, str(where), "--socket", str(agent.socket), says=says, code=code)
        assert mount_at(where) is None
        assert agent.json("status")["mounts"] == []

    def test_a_mountpoint_that_does_not_exist(self, data: Agent, tmp_path: Path) -> None:
        self.mount(data, "data", tmp_path / "none", says="none")

    def test_a_mountpoint_that_is_not_empty(self, data: Agent, tmp_path: Path) -> None:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "file").touch()
        self.mount(data, "data", tmp_path / "full", says="not empty")
        assert (tmp_path / "full" / "file").exists()

    def test_a_mountpoint_that_is_a_file(self, data: Agent, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        self.mount(data, "data", tmp_path / "file", says="file")

    def test_a_dataset_that_is_not_there(self, data: Agent, tmp_path: Path) -> None:
        (tmp_path / "mnt").mkdir()
        self.mount(data, "none", tmp_path / "mnt", says="no dataset 'none'")

    @pytest.mark.skipif(os.geteuid() != 0, reason="a namespace without /dev/fuse takes root")
    def test_dev_fuse_missing(self, data: Agent, tmp_path: Path) -> None:
        (tmp_path / "mnt").mkdir()
        script = (
            'mount -t tmpfs none /dev && exec "$0" -m meshcache.agent.cli mount data "$1" '
            '--socket "$2"'
        )
        done = subprocess.run(
            [
                *("unshare", "--mount", "sh", "-c", script, sys.executable),
                *(str(tmp_path / "mnt"), str(data.socket)),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(),
            check=False,
        )
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1, done.stderr
        assert "/dev/fuse" in lines[0]
        assert done.returncode == 1


def test_a_deadline_that_is_none(one: Agent, tmp_path: Path) -> None:
    mount = ("mount", "data", str(tmp_path), "--socket", str(one.socket))
    refused(*mount, "--deadline=100h", says="--deadline is more than 0 and at most 24h", code=2)
    refused(*mount, "--deadline=soon", says="soon", code=2)
