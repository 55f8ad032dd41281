"""What is mounted, read from /proc/self/mountinfo and never from the mounts themselves.

To ask a mount whose server is dead or hangs (stat, statvfs, even a resolved path) can wait for
ever, so nothing in this package finds out about mounts in that way. Source: proc_pid_mountinfo(5).
"""

import errno
import os
import re
from pathlib import Path
from typing import NamedTuple

MOUNTINFO = Path("/proc/self/mountinfo")

FS_TYPE = "fuse.meshcache"
"""The type that meshcache's mounts are listed with."""

_ESCAPE = re.compile(rb"\\([0-7]{3})")
_MAX_LINKS = 40


class Mounted(NamedTuple):
    """One mount."""

    path: Path
    device: tuple[int, int]
    """Major and minor of the file system's device number."""
    fs_type: str
    source: str

    @property
    def connection(self) -> int:
        """A FUSE mount's number under /sys/fs/fuse/connections: its device number as the kernel
        writes it for user space (new_encode_dev), which for minors below 256 is the minor."""
        major, minor = self.device
        return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)

    @property
    def bdi(self) -> str:
        """The name of the file system's folder under /sys/class/bdi."""
        return f"{self.device[0]}:{self.device[1]}"


def mounts(mountinfo: Path = MOUNTINFO) -> list[Mounted]:
    """All mounts that this process can see, in the order they were made."""
    return [_parse(line) for line in mountinfo.read_bytes().splitlines()]


def _parse(line: bytes) -> Mounted:
    before, _, after = line.partition(b" - ")
    fields, (fs_type, source) = before.split(b" "), after.split(b" ")[:2]
    major, minor = fields[2].split(b":")
    return Mounted(
        Path(os.fsdecode(_unescape(fields[4]))),
        (int(major), int(minor)),
        os.fsdecode(fs_type),
        os.fsdecode(_unescape(source)),
    )


def _unescape(field: bytes) -> bytes:
    """Space, tab, newline and backslash are written as octal numbers."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field)


def mount_at(path: Path) -> Mounted | None:
    """The mount on top at `path`, whatever its kind."""
    place = locate(path)
    at_place = [mounted for mounted in mounts() if mounted.path == place]
    return at_place[-1] if at_place else None


def layers_at(path: Path) -> int:
    """How many mounts lie at `path`, one over the other."""
    place = locate(path)
    return sum(mounted.path == place for mounted in mounts())


def locate(path: Path) -> Path:
    """The absolute path without links, found without asking what is mounted there.

    Its folder may be resolved in the usual way. The last part is only asked whether it is a link,
    by readlink, which the kernel answers for a directory without a question to its file system.
    """
    for _ in range(_MAX_LINKS):
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps ".."
        place = absolute.parent.resolve() / absolute.name
        try:
            path = place.parent / place.readlink()
        except OSError:
            return place
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
