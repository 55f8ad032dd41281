"""Commands as processes of their own: what only shows there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshcache.agent.cli import exits
from tests.support.fake_agent import FakeAgent

MESHCACHE = [sys.executable, "-P", "-m", "meshcache.agent.cli"]


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MESHCACHE_")}
    return kept | {"MESHCACHE_SOCKET": str(tmp_path / "agent.sock")} | more


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with FakeAgent(socket=tmp_path / "agent.sock") as fake:
        yield fake


def test_the_version_costs_no_heavy_import(tmp_path: Path) -> None:
    heavy = "aiohttp asyncio msgspec numpy pyfuse3 rich structlog uvloop yaml zmq"
    code = (
        "import sys; from meshcache.agent.cli import main; code = main(['version']);"
        f"print(sorted(set({heavy.split()}) & set(sys.modules))); sys.exit(code)"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout.splitlines()[1] == "[]"


def test_a_command_that_asks_imports_only_what_it_asks_with(
    agent: FakeAgent, tmp_path: Path
) -> None:
    agent.on("GET", "/v1/members", [])
    heavy = "rich structlog yaml numpy zmq uvloop pyfuse3 botocore meshcache.agent.config"
    code = (
        "import sys; from meshcache.agent.cli import main; code = main(['members', '-o', 'json']);"
        f"print(sorted(set({heavy.split()}) & set(sys.modules))); sys.exit(code)"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=environment(tmp_path),
    )
    assert ran.stdout.splitlines() == ["[]", "[]"]


@pytest.mark.parametrize(("arguments", "code"), [(["members"], 1), (["members", "--foo"], 2)])
def test_a_failure_is_one_line_without_a_traceback(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [*MESHCACHE, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment(tmp_path),
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (code, "", 1)
    assert ran.stderr.startswith("meshcache: ")


def test_a_reader_that_has_seen_enough_ends_cat_quietly(agent: FakeAgent, tmp_path: Path) -> None:
    agent.on("GET", "/v1/datasets/x/files/f", bytes(8 << 20))
    with subprocess.Popen(
        [*MESHCACHE, "cat", "x", "f"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    ) as cat:
        assert cat.stdout is not None and cat.stderr is not None
        assert cat.stdout.read(10) == bytes(10)
        cat.stdout.close()
        assert cat.stderr.read() == b""
        assert cat.wait(30) == exits.BROKEN_PIPE


def test_a_reader_that_is_gone_before_the_table_is_printed_ends_it_quietly(
    agent: FakeAgent, tmp_path: Path
) -> None:
    agent.on("GET", "/v1/datasets/x/entries/", [
        {"name": f"file-{number:06}", "type": "file", "size": 1, "mtime_ns": 0}
        for number in range(20_000)
    ])  # fmt: skip
    with subprocess.Popen(
        [*MESHCACHE, "ls", "x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    ) as ls:
        assert ls.stdout is not None and ls.stderr is not None
        ls.stdout.close()
        assert ls.stderr.read() == b""
        assert ls.wait(30) == exits.BROKEN_PIPE


def test_ctrl_c_ends_a_wait_with_130_and_says_that_the_load_goes_on(
    agent: FakeAgent, tmp_path: Path
) -> None:
    load = {"name": "1", "phase": "Executing", "bytes": 1, "bytes_done": 0}
    agent.on("POST", "/v1/loads", load)
    agent.on("GET", "/v1/loads/1", load)
    with subprocess.Popen(
        [*MESHCACHE, "load", "x", "--wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    ) as waiting:
        deadline = time.monotonic() + 30
        while len(agent.asked) < 3:  # it asks again and again
            assert time.monotonic() < deadline
            assert waiting.poll() is None
            time.sleep(0.01)
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=30)
    goes_on = b"load 1 goes on: `meshcache load cancel 1` ends it\n"
    assert (waiting.returncode, out, err) == (exits.INTERRUPTED, b"", goes_on)


def test_why_a_background_mount_did_not_start_is_told_in_the_foreground(
    agent: FakeAgent, tmp_path: Path
) -> None:
    log = tmp_path / "logs" / "mount.log"
    ran = subprocess.run(
        [*MESHCACHE, "mount", "x", str(tmp_path / "none"), "--daemon", f"--log-file={log}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment(tmp_path),
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"meshcache: {tmp_path / 'none'} does not exist")
    assert ran.stderr.count("\n") == 1


def test_ctrl_c_ends_a_monitor_with_130(agent: FakeAgent, tmp_path: Path) -> None:
    agent.on("GET", "/v1/events", b'{"kind":"begin","name":"n1"}\n')
    with subprocess.Popen(
        [*MESHCACHE, "monitor"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    ) as monitor:
        assert monitor.stderr is not None
        assert "trying again" in monitor.stderr.readline()
        monitor.send_signal(signal.SIGINT)
        assert monitor.wait(30) == exits.INTERRUPTED
        assert "Traceback" not in monitor.stderr.read()
