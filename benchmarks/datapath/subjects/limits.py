"""What no cache can beat: the bare files in memory, and a FUSE file system that only answers."""

import sys
from collections.abc import Sequence

import pyfuse3

from benchmarks.datapath.subjects.base import Program, Subject


class Tmpfs(Subject):
    """The files themselves, in tmpfs."""

    name = "tmpfs"
    settings = "the same files, bare"
    caches = False

    @classmethod
    async def version(cls) -> str:
        """Of the kernel; there is no other."""
        return ""

    async def mount(self, endpoint: str) -> None:
        """They are there."""
        self.root = self.source

    async def unmount(self) -> None:
        """They stay."""

    def processes(self) -> set[int]:
        """The kernel alone."""
        return set()


class Null(Program):
    """`benchmarks.nullfs` over the same files."""

    name = "null FUSE"
    settings = "pyfuse3 over mappings of the files, with meshcache's way to the device"
    caches = False

    @classmethod
    async def version(cls) -> str:
        """pyfuse3's."""
        return f"pyfuse3 {pyfuse3.__version__}"

    def command(self, endpoint: str) -> Sequence[str]:
        """The mount."""
        return (sys.executable, "-m", "benchmarks.nullfs", str(self.source), str(self.root))
