"""A mount in a real mesh, while its agent and its workers are killed."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks import workers
from benchmarks.load import Load, write_files
from meshcache import __version__
from meshcache.fuse.mountinfo import mount_at
from meshcache.fuse.restarts import LOOP
from meshcache.units import KIB, MIB
from tests.main.conftest import Origin
from tests.support.agents import Mesh, command, digest
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

READER: dict[str, Any] = {
    "stdout": subprocess.DEVNULL,
    "stderr": subprocess.PIPE,
    "text": True,
    "env": {"LC_ALL": "C", "PATH": os.environ["PATH"]},
}

ABORTED = ("Software caused connection abort", "Transport endpoint is not connected")
"""What a request is told, and what the kernel says itself if it has to ask once more."""

READ_ON = """
import os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
for line in sys.stdin:
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    data = os.pread(file, int(line), 5 * 1024 * 1024)
    print(len(data), set(data), flush=True)
"""


def test_readers_see_no_error_while_the_agent_is_killed_and_started_again(
    mesh: Mesh, tmp_path: Path, rng: Random
) -> None:
    files = {f"large/{n}": rng.randbytes(6 * MIB + n) for n in range(8)}
    files |= {f"small/{n}": rng.randbytes(rng.randrange(1, 64 * KIB)) for n in range(100)}
    truth = write_files(tmp_path / "origin", files)
    # A worker may map a quarter of the store, so it has to ask for blocks again and again.
    holds, mounts = mesh.start("holds", "mounts", size="128MiB")
    holds.run("dataset", "create", "data", f"file://{truth}")
    place = mesh.mount(mounts, "data")
    with Load(place, truth, rng.randrange(1 << 30)) as load:
        for _ in range(2):
            time.sleep(rng.uniform(0.2, 0.8))  # the load's time, not a wait for anything
            mounts.kill()
            mounts.start(join=holds.gossip)
        report = load.end(within=60)
    assert report.errors == []
    assert report.wrong == 0
    assert report.operations > 50
    wait_until(lambda: mounts.json("status")["mounts"])


def test_an_old_version_is_read_on_after_agent_and_worker_were_killed(
    mesh: Mesh, tmp_path: Path
) -> None:
    truth = tmp_path / "origin"
    truth.mkdir()
    (truth / "file").write_bytes(b"1" * (6 * MIB))
    (truth / "stays").write_bytes(b"stays")
    (agent,) = mesh.start("one")
    agent.run("dataset", "create", "data", f"file://{truth}")
    agent.run("load", "data", "--wait")
    place = mesh.mount(agent, "data")
    keeper = agent.children[-1]
    reader = subprocess.Popen(
        [sys.executable, "-I", "-c", READ_ON, str(place / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    agent.children.append(reader)  # type: ignore[arg-type]
    assert reader.stdin is not None
    assert reader.stdout is not None

    def read(count: int) -> str:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write(f"{count}\n")
        reader.stdin.flush()
        return reader.stdout.readline()

    assert read(1000) == "1000 {49}\n"
    (truth / "file").write_bytes(b"2" * (7 * MIB))
    agent.run("dataset", "refresh", "data")
    wait_until(lambda: digest(place / "file") == digest(truth / "file"))
    agent.kill()
    agent.start()
    os.kill(workers.serving(keeper.pid), signal.SIGKILL)
    assert read(2000) == "2000 {49}\n"
    assert digest(place / "file") == digest(truth / "file")
    assert digest(place / "stays") == digest(truth / "stays")
    reader.stdin.close()
    reader.stdout.close()


def errno_of(path: Path) -> str:
    """What reading the file ends with, within the limit of a test."""
    done = subprocess.run(
        ["timeout", "40", "cat", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert done.returncode == 1, done
    return done.stderr.decode().rpartition(": ")[2].strip()


@pytest.mark.parametrize("hangs", ["origin", "peer", "agent"])
def test_a_read_ends_at_its_deadline_whatever_hangs_below(
    mesh: Mesh, origin: Origin, hangs: str
) -> None:
    origin.put("file", b"x" * (5 * MIB))
    one, two = mesh.start("one", "two")
    origin.create(one)
    late = "--deadline-errno=EIO" if hangs == "agent" else "--deadline-errno=ETIMEDOUT"
    place = mesh.mount(one, "data", "--deadline=2s", late)
    held = origin.cap.hold()
    stopped = {"origin": None, "peer": two, "agent": one}[hangs]
    if stopped is not None:
        os.kill(stopped.pid, signal.SIGSTOP)
    begin = time.monotonic()
    said = "Input/output error" if hangs == "agent" else "Connection timed out"
    assert errno_of(place / "file") == said
    assert time.monotonic() - begin < 30
    origin.cap.release(held)
    if stopped is not None:
        os.kill(stopped.pid, signal.SIGCONT)
    whole = hashlib.sha256(b"x" * (5 * MIB)).hexdigest()
    wait_until(lambda: digest(place / "file") == whole, within=60)


def test_status_metrics_and_log_say_that_workers_die_again_and_again(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"data")
    (agent,) = mesh.start("one")
    origin.create(agent)
    place = mesh.mount(agent, "data")
    keeper = agent.children[-1].pid
    log = agent.folder / "mount.log"
    while "MountWorkerCrashLoop" not in log.read_text():
        with contextlib.suppress(ProcessLookupError):  # it was dying already
            os.kill(workers.serving(keeper), signal.SIGKILL)
    (template,) = workers.children(keeper)
    os.kill(template, signal.SIGSTOP)  # so that no next one ends it
    for pid in workers.all_of(keeper):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: agent.ask("/v1/status")["mounts"][0]["workers"]["state"] == "slowed")
    assert agent.metric("meshcache_mounts_slowed") == 1
    assert agent.metric("meshcache_mount_worker_deaths", dataset="data") >= LOOP
    assert "its workers die again and again" in agent.run("status").stdout
    os.kill(template, signal.SIGCONT)
    assert digest(place / "file") == hashlib.sha256(b"data").hexdigest()
    wait_until(lambda: "MountWorkerRecovered" in log.read_text(), within=60)
    wait_until(lambda: agent.metric("meshcache_mounts_slowed") == 0)


@pytest.mark.parametrize("keeper_hangs", [False, True])
def test_a_forced_unmount_ends_a_mount_of_which_every_part_hangs(
    mesh: Mesh, origin: Origin, keeper_hangs: bool
) -> None:
    origin.put("file", b"x" * (5 * MIB))
    (agent,) = mesh.start("one")
    origin.create(agent)
    place = mesh.mount(agent, "data")
    keeper = agent.children[-1]
    held = origin.cap.hold()
    parts = [agent.pid, workers.serving(keeper.pid)] + [keeper.pid] * keeper_hangs
    with subprocess.Popen(["timeout", "100", "cat", str(place / "file")], **READER) as reader:
        wait_until(lambda: origin.cap.cap.held)
        for pid in parts:
            os.kill(pid, signal.SIGSTOP)
        command("umount", "--force", str(place))
        assert mount_at(place) is None
        said = reader.communicate(timeout=30)[1]
    assert said.rpartition(": ")[2].strip() in ABORTED
    for pid in parts:
        os.kill(pid, signal.SIGCONT)
    assert keeper.wait(30) == 0
    origin.cap.release(held)


def test_a_worker_is_upgraded_by_command_while_files_are_read(mesh: Mesh, tmp_path: Path) -> None:
    truth = tmp_path / "origin"
    truth.mkdir()
    (truth / "file").write_bytes(b"1" * (6 * MIB))
    (agent,) = mesh.start("one")
    agent.run("dataset", "create", "data", f"file://{truth}")
    place = mesh.mount(agent, "data")
    before = workers.serving(agent.children[-1].pid)
    with (place / "file").open("rb", buffering=0) as held:  # nothing here serves the mount
        said = agent.run("upgrade-worker", str(place)).stdout
        assert f"{place}: served by version {__version__} (pid " in said
        assert held.read(100) == b"1" * 100
    assert workers.serving(agent.children[-1].pid) != before
    (mounted,) = agent.json("status")["mounts"]
    assert mounted["workers"]["upgrades"] == 1
    elsewhere = agent.run("upgrade-worker", str(tmp_path), check=False)
    assert elsewhere.returncode == 1
    assert "nothing mounted at" in elsewhere.stderr
    assert digest(place / "file") == digest(truth / "file")
