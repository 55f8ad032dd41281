"""A mount with an agent of its own: what runs in a serverless pod's sidecar."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from meshcache.fuse.mountinfo import mount_at
from meshcache.fuse.mountpoint import abort, detach
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh, digest, environment
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

DATA = os.urandom(3 << 20)
WHOLE, PART = (hashlib.sha256(data).hexdigest() for data in (DATA, DATA[:1000]))


class Sidecar:
    """`meshcache mount --guest`, as a container runs it."""

    def __init__(self, mesh: Mesh, seed: Agent, folder: Path) -> None:
        self.mountpoint, self.part = folder / "mnt", folder / "part"
        for place in (self.mountpoint, self.part):
            place.mkdir(parents=True)
        self.log = folder / "log"
        self._environment = environment(
            MESHCACHE_JOIN=seed.gossip,
            MESHCACHE_MESH_KEY_FILE=str(mesh.key),
            MESHCACHE_CACHE_DIR=str(folder / "cache"),
            MESHCACHE_CACHE_SIZE="64MiB",
            MESHCACHE_NAME="guest",
            MESHCACHE_LISTEN="127.0.0.1:0",
            MESHCACHE_GOSSIP="127.0.0.1:0",
        )
        self.prefix: tuple[str, ...] = ()
        self.dataset = "data"
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it, and wait until it says that it is mounted."""
        start = self.log.stat().st_size if self.log.exists() else 0
        process = self.begin()
        try:
            wait_until(lambda: "is mounted at" in self.log.read_text()[start:], within=30)
        except AssertionError:
            self.close()
            raise AssertionError(self.log.read_text()) from None
        return process

    def begin(self, *flags: str) -> "subprocess.Popen[bytes]":
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(
                        *self.prefix,
                        sys.executable,
                        "-m",
                        "meshcache.agent.cli",
                        "mount",
                        "--guest",
                    ),
                    *(f"--bind=sub/dir={self.part}", *flags, self.dataset, str(self.mountpoint)),
                ],
                stderr=log,
                env=self._environment,
            )
        return self.process

    def agent(self) -> int:
        """The pid of its agent; 0 while there is none."""
        return self.child(b"\0agent\0", self.process.pid)

    @staticmethod
    def child(argument: bytes, pid: int) -> int:
        """The child of a process that has this among its arguments; 0 while there is none."""
        children = Path(f"/proc/{pid}/task").glob("*/children")
        for child in [child for file in children for child in file.read_text().split()]:
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                if argument in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        return 0

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for place in (self.part, self.mountpoint):
            while (mounted := mount_at(place)) is not None:
                detach(place)
                abort(mounted)


@pytest.fixture
def sidecar(mesh: Mesh, origin: Origin, tmp_path: Path) -> Iterator[Sidecar]:
    origin.put("file", DATA)
    origin.put("sub/dir/file", DATA[:1000])
    (seed,) = mesh.start("node")
    origin.create(seed)
    running = Sidecar(mesh, seed, tmp_path / "sidecar")
    try:
        yield running
    finally:
        running.close()


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_it_joins_reads_and_leaves_nothing_within_two_seconds(sidecar: Sidecar) -> None:
    assert digest(sidecar.mountpoint / "file") == WHOLE
    assert digest(sidecar.part / "file") == PART
    agent = sidecar.agent()
    began = time.monotonic()
    sidecar.process.send_signal(signal.SIGTERM)
    assert sidecar.process.wait(10) == 0
    assert time.monotonic() - began < 2.0  # what the kubelet is promised, not a measurement
    assert gone(agent)
    assert mount_at(sidecar.mountpoint) is None
    assert mount_at(sidecar.part) is None


def test_it_ends_when_told_to_before_there_is_a_mount(sidecar: Sidecar) -> None:
    # In a container it is the first process, which gets no signal that it does not handle.
    sidecar.process.send_signal(signal.SIGTERM)
    assert sidecar.process.wait(10) == 0
    sidecar.dataset, sidecar.prefix = "nothing", ("unshare", "--pid", "--fork", "--kill-child")
    sidecar.begin()

    def first() -> int:
        return sidecar.child(b"\0mount\0", sidecar.process.pid)

    wait_until(lambda: first() != 0 and sidecar.child(b"\0agent\0", first()) != 0, within=30)
    os.kill(first(), signal.SIGTERM)
    assert sidecar.process.wait(10) == 0
    assert mount_at(sidecar.mountpoint) is None


def test_after_sigkill_its_agent_ends_and_the_next_clears_the_dead_mounts(
    sidecar: Sidecar,
) -> None:
    agent = sidecar.agent()
    sidecar.process.kill()
    sidecar.process.wait(10)
    wait_until(lambda: gone(agent), within=10)
    sidecar.start()
    assert digest(sidecar.mountpoint / "file") == WHOLE
    assert digest(sidecar.part / "file") == PART
    sidecar.process.send_signal(signal.SIGTERM)
    assert sidecar.process.wait(10) == 0
    assert mount_at(sidecar.mountpoint) is None
    assert mount_at(sidecar.part) is None


def test_its_agent_is_started_again_when_it_dies(sidecar: Sidecar) -> None:
    agent = sidecar.agent()
    os.kill(agent, signal.SIGKILL)
    wait_until(lambda: sidecar.agent() not in (0, agent), within=20)
    assert digest(sidecar.mountpoint / "file") == WHOLE


def test_a_folder_that_is_not_there_is_told_of_and_leaves_nothing(
    sidecar: Sidecar, tmp_path: Path
) -> None:
    sidecar.process.send_signal(signal.SIGTERM)
    sidecar.process.wait(10)
    place = tmp_path / "nowhere"
    place.mkdir()
    assert sidecar.begin(f"--bind=not/there={place}").wait(60) == 1
    assert re.search(r"^meshcache: cannot show .*not/there", sidecar.log.read_text(), re.MULTILINE)
    assert mount_at(sidecar.mountpoint) is None
