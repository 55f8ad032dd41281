"""A FUSE file system that only answers: ``python -m benchmarks.nullfs SOURCE MOUNTPOINT``.

It shows a folder's files out of mappings of them, over the same way to the device that meshcache's
worker has. What it reads in a second is what the kernel, libfuse, pyfuse3 and the event loop leave
to any file system; a cache can at best come near. It ends when it is unmounted.
"""

import asyncio
import errno
import gc
import os
import stat
import sys
from pathlib import Path

import pyfuse3
import uvloop

from meshcache.fuse import mountpoint
from meshcache.fuse.device import Device
from meshcache.fuse.mapping import map_file
from meshcache.fuse.session_loops import SessionLoops, serve

_FOREVER = 86400.0


class Null(pyfuse3.Operations):
    """A tree of files that never change. An inode is an index of its lists."""

    def __init__(self, source: Path) -> None:
        super().__init__()
        self._paths = [source]
        self._children: dict[int, dict[bytes, int]] = {}
        self._data: dict[int, memoryview] = {}
        waiting = [0]
        while waiting:
            self._list(waiting.pop(), waiting)

    def _list(self, folder: int, waiting: list[int]) -> None:
        self._children[folder] = names = {}
        for path in sorted(self._paths[folder].iterdir()):
            index = len(self._paths)
            self._paths.append(path)
            names[os.fsencode(path.name)] = index
            if path.is_dir():
                waiting.append(index)
            elif path.stat().st_size:
                with path.open("rb") as file:
                    self._data[index] = map_file(file.fileno(), path.stat().st_size)

    def _attributes(self, index: int) -> pyfuse3.EntryAttributes:
        attributes = pyfuse3.EntryAttributes()
        is_folder = index in self._children
        attributes.st_ino = index + pyfuse3.ROOT_INODE
        attributes.st_mode = (stat.S_IFDIR | 0o555) if is_folder else (stat.S_IFREG | 0o444)
        attributes.st_nlink = 1
        attributes.st_size = len(self._data.get(index, b""))
        attributes.st_blksize = mountpoint.MAX_READ
        attributes.entry_timeout = attributes.attr_timeout = _FOREVER
        return attributes

    async def lookup(
        self, parent: int, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        index = self._children[parent - pyfuse3.ROOT_INODE].get(name)
        if index is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self._attributes(index)

    async def getattr(self, inode: int, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        return self._attributes(inode - pyfuse3.ROOT_INODE)

    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        return pyfuse3.FileInfo(fh=inode - pyfuse3.ROOT_INODE, keep_cache=True)

    async def read(  # type: ignore[override] # pyfuse3 takes any buffer
        self, fh: int, off: int, size: int
    ) -> memoryview:
        return self._data[fh][off : off + size]

    async def opendir(self, inode: int, ctx: pyfuse3.RequestContext) -> int:
        return inode - pyfuse3.ROOT_INODE

    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        for place, (name, index) in enumerate(self._children[fh].items(), 1):
            if place > start_id and not pyfuse3.readdir_reply(
                token, name, self._attributes(index), place
            ):
                return


async def _serve(source: Path, place: Path) -> None:
    mounted = mountpoint.mount(place, "null")
    device = Device(mounted)
    device.go_on_with(os.dup(mounted))  # it comes over one file from the start
    gc.freeze()
    loops = SessionLoops(device, lambda task, error: print(task, error, file=sys.stderr))
    await serve(Null(source), loops)


def main() -> None:
    """Mount and answer."""
    source, place = map(Path, sys.argv[1:])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(source, place))


if __name__ == "__main__":
    main()
