"""Mounting and unmounting: the mountpoint's checks, fusermount3, the end of a mount.

fusermount3 mounts for root and for users alike: it opens /dev/fuse, mounts, and hands the open
device over a socket named by _FUSE_COMMFD (libfuse's util/fusermount.c).
"""

import ctypes
import errno
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meshcache.errors import EnvironmentUnfit, MountpointUnusable
from meshcache.fuse.mountinfo import FS_TYPE, Mounted, layers_at, locate, mount_at
from meshcache.fuse.packets import receive_now

FUSERMOUNT = "fusermount3"
DEVICE = Path("/dev/fuse")
CONNECTIONS = Path("/sys/fs/fuse/connections")

MAX_READ = 1 << 20
"""Bytes of the kernel's longest read request; its own limit is 256 pages."""

_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_PATIENCE = 2.0
"""Seconds that a mount which is in the way has to show that it is alive."""

_LAST_MOMENT = 1.0
"""Seconds that a server has to go which may have lost its keeper just now."""

_libc = ctypes.CDLL(None, use_errno=True)


def is_mounted(path: Path) -> bool:
    """Whether a mount of meshcache's is on top at `path`. Never waits for the mount."""
    mounted = mount_at(path)
    return mounted is not None and mounted.fs_type == FS_TYPE


def check_mountpoint(path: Path, *, volume: bool = False) -> Path:
    """The mountpoint's place, free of links, if a dataset can be mounted there. What a dead
    server of meshcache's left there is unmounted.

    Args:
        volume: it is a container's volume that others share. There the lowest mount was bound by
            the container's runtime and is a peer of theirs, dead or not: only what is mounted
            over it reaches them, so it is left.

    Raises:
        MountpointUnusable: it is missing, no directory, not empty, or mounted already.
        EnvironmentUnfit: this machine or container cannot mount.
    """
    place = locate(path)
    mounted = bury(path, leave_lowest=volume)
    if mounted is None or mounted.fs_type != FS_TYPE:
        _check_free(path, place, mounted)
    _check_machine()
    return place


def bury(path: Path, *, leave_lowest: bool = False) -> Mounted | None:
    """Unmount what dead servers of meshcache's left at `path`, one over the other, or all but the
    lowest. Gives what is on top then.

    Raises:
        MountpointUnusable: the server of one of them is alive.
    """
    place = locate(path)
    while (mounted := mount_at(place)) is not None and mounted.fs_type == FS_TYPE:
        if not _is_dying(place):
            raise MountpointUnusable(
                f"{path} is mounted already ({mounted.source}): unmount it with "
                f"`meshcache umount {path}` or choose another directory"
            )
        if leave_lowest and layers_at(place) == 1:
            break
        _unmount(place, _MNT_DETACH)
    return mounted


def _check_free(path: Path, place: Path, mounted: Mounted | None) -> None:
    if mounted is not None and mounted.fs_type.startswith("fuse"):
        raise MountpointUnusable(f"{path} is mounted already ({mounted.source})")
    _check_directory(path, place)


def _check_machine() -> None:
    if not DEVICE.exists():
        raise EnvironmentUnfit(
            f"{DEVICE} is missing: load the module (modprobe fuse) or, in a container, give it "
            "the device"
        )
    if shutil.which(FUSERMOUNT) is None:
        raise EnvironmentUnfit(f"{FUSERMOUNT} is missing: install the package fuse3")


def _check_directory(path: Path, place: Path) -> None:
    try:
        entries = next(place.iterdir(), None)
    except FileNotFoundError:
        raise MountpointUnusable(f"{path} does not exist: make it with `mkdir -p {path}`") from None
    except NotADirectoryError:
        raise MountpointUnusable(f"{path} is not a directory") from None
    except OSError as error:
        raise MountpointUnusable(f"{path} cannot be used: {error.strerror}") from error
    if entries is not None:
        raise MountpointUnusable(f"{path} is not empty: choose an empty directory")


def _is_dying(place: Path) -> bool:
    """Whether the mount's server is gone, or goes: a killed keeper's worker takes its moment."""
    deadline = time.monotonic() + _LAST_MOMENT
    while not _is_dead(place):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _is_dead(place: Path) -> bool:
    """Whether the mount's server is gone. One that hangs is not dead: it may have readers."""
    answers: list[int] = []

    def ask() -> None:
        try:
            os.statvfs(place)  # never answered from the kernel's cache, as stat is
            answers.append(0)
        except OSError as error:
            answers.append(error.errno or 0)

    thread = threading.Thread(target=ask, daemon=True, name="ask the mount")
    thread.start()
    thread.join(_PATIENCE)
    return answers in ([errno.ENOTCONN], [errno.ECONNABORTED])


def mount(place: Path, dataset: str, *, allow_other: bool = True) -> int:
    """Mount, and give the device's descriptor.

    Raises:
        EnvironmentUnfit: the right to mount, the device or fusermount3 is missing.
    """
    options = [
        "ro", "nosuid", "nodev", "default_permissions", f"max_read={MAX_READ}",
        f"fsname=meshcache:{dataset}", "subtype=meshcache",
    ]  # fmt: skip
    if allow_other:
        options.append("allow_other")
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            try:
                result = subprocess.run(
                    [FUSERMOUNT, "-o", ",".join(options), "--", str(place)],
                    pass_fds=[theirs.fileno()],
                    env=os.environ | {"_FUSE_COMMFD": str(theirs.fileno()), "LC_ALL": "C"},
                    capture_output=True,
                    text=True,
                    check=False,
                )
            except FileNotFoundError:
                raise EnvironmentUnfit(
                    f"{FUSERMOUNT} is missing: install the package fuse3"
                ) from None
        if result.returncode:
            raise EnvironmentUnfit(f"cannot mount at {place}: {_why(result.stderr)}")
        packet = receive_now(ours)
    if packet is None or not packet.files:
        raise EnvironmentUnfit(f"cannot mount at {place}: {FUSERMOUNT} gave no device")
    return packet.files[0]


def _why(output: str) -> str:
    lines = [line.strip().removeprefix(f"{FUSERMOUNT}: ") for line in output.splitlines()]
    why = next((line for line in lines if line), f"{FUSERMOUNT} failed and did not say why")
    if "user_allow_other" in why:
        return f"{why}; or give --no-allow-other"
    if "not permitted" in why:
        return f"{why}: mounting takes root, or a {FUSERMOUNT} that is set-uid root"
    return why


def unmount(path: Path, *, force: bool = False) -> None:
    """Unmount what meshcache mounted at `path`. Its keeper then ends by itself.

    Args:
        force: also end a mount that is in use or whose server hangs: open files get errors.

    Raises:
        MountpointUnusable: nothing of meshcache's is mounted there, or it is in use.
        EnvironmentUnfit: the right to unmount is missing.
    """
    place = locate(path)
    mounted = mount_at(place)
    if mounted is None or mounted.fs_type != FS_TYPE:
        raise MountpointUnusable(f"nothing of meshcache's is mounted at {path}")
    if force:
        # First the name: its keeper then sees an unmount, and not the death of its worker.
        detach(place)
        abort(mounted)
        return
    try:
        _unmount(place, 0)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise _cannot_unmount(place, error) from error
        raise MountpointUnusable(
            f"{path} is in use: close what is open below it, or unmount with --force"
        ) from None


def detach(place: Path) -> bool:
    """Unmount now, also if files are open; those keep the file system until they are closed.
    Gives whether any were.

    Raises:
        EnvironmentUnfit: the right to unmount is missing.
    """
    try:
        _unmount(place, 0)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False  # not mounted any more
        if error.errno != errno.EBUSY:
            raise _cannot_unmount(place, error) from error
    else:
        return False
    try:
        _unmount(place, _MNT_DETACH)
    except OSError as error:
        raise _cannot_unmount(place, error) from error
    return True


def _cannot_unmount(place: Path, error: OSError) -> EnvironmentUnfit:
    return EnvironmentUnfit(f"cannot unmount {place}: {error.strerror}")


def _unmount(place: Path, flags: int) -> None:
    """umount2(2), or fusermount3 for a user's own mount."""
    if _libc.umount2(os.fsencode(place), flags | _UMOUNT_NOFOLLOW) == 0:
        return
    number = ctypes.get_errno()
    if number != errno.EPERM:
        raise OSError(number, os.strerror(number), str(place))
    lazily = ["-z"] if flags & _MNT_DETACH else []
    command = [FUSERMOUNT, "-u", *lazily, "--", str(place)]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C"}
    )
    if result.returncode:
        busy = "busy" in result.stderr
        raise OSError(errno.EBUSY if busy else errno.EPERM, _why(result.stderr), str(place))


def abort(mounted: Mounted) -> bool:
    """End a FUSE connection: every request that waits, in the server's hands or not, fails. Gives
    whether that was possible: it takes root or the mount's owner."""
    try:
        with connections() as folder:
            (folder / str(mounted.connection) / "abort").write_text("1")
    except OSError:
        return False
    return True


@contextmanager
def connections() -> Iterator[Path]:
    """The fusectl file system, which most containers do not have mounted: then mount it aside."""
    if any(CONNECTIONS.glob("*")):
        yield CONNECTIONS
        return
    with tempfile.TemporaryDirectory(prefix="meshcache-fusectl-") as aside:
        place = os.fsencode(aside)
        if _libc.mount(b"fusectl", place, b"fusectl", 0, None):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), aside)
        try:
            yield Path(aside)
        finally:
            _libc.umount2(place, _MNT_DETACH)
