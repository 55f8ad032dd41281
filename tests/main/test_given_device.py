"""A mount made by somebody privileged, and served by somebody without any privilege."""

import ctypes
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import workers
from meshcache.fuse.mountinfo import mount_at
from meshcache.fuse.mountpoint import abort, detach
from tests.main.conftest import Origin
from tests.support.agents import Mesh, digest, environment
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

DATA = os.urandom(2 << 20)
WHOLE = hashlib.sha256(DATA).hexdigest()
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """/dev/fuse, opened and mounted with a user's id for its owner, as a CSI driver does."""
    place = tmp_path / "mnt"
    place.mkdir()
    number = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={number},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    ro_nosuid_nodev = 1 | 2 | 4
    if _libc.mount(
        b"given", os.fsencode(place), b"fuse.meshcache", ro_nosuid_nodev, options.encode()
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        yield number, place
    finally:
        mounted = mount_at(place)
        if mounted is not None:
            detach(place)
            abort(mounted)
        os.close(number)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The sidecar's folder."""
    folder = tmp_path / "sidecar"
    folder.mkdir()
    return folder


def serve(
    mesh: Mesh, seed: str, home: Path, *where: str, device: int | None = None
) -> "subprocess.Popen[bytes]":
    """`meshcache mount --guest` without any capability, and without a way to get one. (Another user
    would not reach a Python below root's home.)"""
    with (home / "log").open("wb") as log:
        return subprocess.Popen(
            [
                *("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"),
                *(sys.executable, "-m", "meshcache.agent.cli", "mount", "--guest", "data", *where),
            ],
            stderr=log,
            pass_fds=[] if device is None else [device],
            env=environment(
                MESHCACHE_JOIN=seed,
                MESHCACHE_MESH_KEY_FILE=str(mesh.key),
                MESHCACHE_CACHE_DIR=str(home / "cache"),
                MESHCACHE_CACHE_SIZE="64MiB",
                MESHCACHE_LISTEN="127.0.0.1:0",
                MESHCACHE_GOSSIP="127.0.0.1:0",
            ),
        )


def ready(process: "subprocess.Popen[bytes]", home: Path) -> None:
    log = home / "log"
    wait_until(lambda: "is mounted at" in log.read_text() or process.poll() is not None, within=60)
    assert process.poll() is None, log.read_text()


def end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_a_descriptor_handed_down_is_served(
    mesh: Mesh, origin: Origin, device: tuple[int, Path], home: Path
) -> None:
    number, place = device
    origin.put("file", DATA)
    (seed,) = mesh.start("node")
    origin.create(seed)
    server = serve(mesh, seed.gossip, home, f"/dev/fd/{number}", device=number)
    try:
        ready(server, home)
        assert digest(place / "file") == WHOLE
        end(server)
    finally:
        server.kill()
        server.wait(10)
    assert mount_at(place) is not None  # it is not ours to unmount


def test_a_descriptor_sent_over_a_socket_is_served(
    mesh: Mesh, origin: Origin, device: tuple[int, Path], home: Path
) -> None:
    number, place = device
    origin.put("file", DATA)
    (seed,) = mesh.start("node")
    origin.create(seed)
    path = home / "fd.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen(1)
        listening.settimeout(60)
        server = serve(mesh, seed.gossip, home, f"--fd-socket={path}")
        try:
            connection, _ = listening.accept()
            with connection:
                socket.send_fds(connection, [b"{}"], [number])
            ready(server, home)
            assert digest(place / "file") == WHOLE
            end(server)
        finally:
            server.kill()
            server.wait(10)


def test_a_given_device_outlives_its_workers_without_any_privilege(
    mesh: Mesh, origin: Origin, device: tuple[int, Path], home: Path
) -> None:
    number, place = device
    for name in ("file", "other", "third"):
        origin.put(name, DATA)
    (seed,) = mesh.start("node")
    origin.create(seed)
    server = serve(mesh, seed.gossip, home, f"/dev/fd/{number}", device=number)
    try:
        ready(server, home)
        with (place / "file").open("rb", buffering=0) as held:  # nothing here serves the mount
            os.kill(workers.serving(server.pid), signal.SIGKILL)
            assert digest(place / "other") == WHOLE
            assert held.read(100) == DATA[:100]
            before = workers.serving(server.pid)
            server.send_signal(signal.SIGHUP)
            wait_until(lambda: workers.serving(server.pid) != before, within=30)
            assert digest(place / "third") == WHOLE
        end(server)
    finally:
        server.kill()
        server.wait(10)


def test_a_device_that_was_served_before_is_refused(
    mesh: Mesh, origin: Origin, device: tuple[int, Path], home: Path
) -> None:
    number, place = device
    origin.put("file", DATA)
    (node,) = mesh.start("node")
    origin.create(node)
    first = serve(mesh, node.gossip, home, f"/dev/fd/{number}", device=number)
    ready(first, home)
    first.kill()
    first.wait(10)
    second = serve(mesh, node.gossip, home, f"/dev/fd/{number}", device=number)
    assert second.wait(60) == 1
    assert "was served before" in (home / "log").read_text()
    assert mount_at(place) is not None


def test_what_is_no_fuse_device_is_refused(mesh: Mesh, home: Path) -> None:
    (node,) = mesh.start("node")
    with (home / "plain").open("w") as plain:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "meshcache.agent.cli", "mount", "data"),
                *(f"/dev/fd/{plain.fileno()}", "--socket", str(node.socket)),
            ],
            pass_fds=[plain.fileno()],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=environment(),
        )
    assert done.returncode == 2
    assert "is no FUSE device" in done.stderr


def test_a_mountpoint_and_a_socket_together_are_refused(mesh: Mesh, tmp_path: Path) -> None:
    (node,) = mesh.start("node")
    both = ("mount", "data", str(tmp_path), "--fd-socket", str(tmp_path / "s"))
    for arguments in (both, ("mount", "data")):
        done = node.run(*arguments, check=False)
        assert done.returncode == 2
        assert "one of the two" in done.stderr
