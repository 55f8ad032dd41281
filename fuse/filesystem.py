"""The kernel's requests, answered: a protocol adapter only, over pyfuse3.

Inodes and errnos stop here. What a name means is `meshcache.fuse.tree`'s business, where bytes
come from is `meshcache.fuse.blocks`'. The handle of an open file or directory is its inode, so
nothing is kept for an open one, and nothing is lost with this process.

Every handler ends in an answer: whatever is raised becomes an errno here. An exception that
pyfuse3 does not expect leaves the process that asked waiting for ever (tried).
"""

import errno
import functools
import os
import stat
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, ParamSpec, TypeVar

import pyfuse3
import structlog
from pyfuse3 import EntryAttributes, FileInfo, FUSEError, RequestContext, StatvfsData

from meshcache.errors import MeshcacheError, PathNotFound
from meshcache.fuse.blocks import Blocks
from meshcache.fuse.errnos import errno_of
from meshcache.fuse.opens import OpenWatch
from meshcache.fuse.rawrequest import OPEN, READ
from meshcache.fuse.tree import Found, Tree
from meshcache.fuse.waits import Waits
from meshcache.snapshot import Entry

log = structlog.get_logger("meshcache.fuse.worker")

P = ParamSpec("P")
T = TypeVar("T")

FOREVER = 365 * 86400.0
"""Seconds that the kernel may keep names and attributes. What is under an inode never changes,
and a name that changes is taken back (`meshcache.fuse.invalidate`)."""

NEGATIVE = 60.0
"""Seconds that the kernel may remember that a name is not there. A new head takes those back too;
the limit only keeps the kernel's list of such names short."""

NAME_MAX = 255
"""Bytes of the longest name; FUSE itself lets longer ones pass."""

_BLOCK = 512
"""Bytes of one unit of st_blocks, by POSIX."""

_PREFERRED = 1 << 20
"""st_blksize: the longest read that FUSE sends in one request; what cp and others then use."""


def _answered(handler: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Turn whatever a handler raises into a FUSEError."""

    @functools.wraps(handler)
    async def answered(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await handler(*args, **kwargs)
        except FUSEError:
            raise
        except Exception as error:
            raise _fuse_error(error) from error

    return answered


def _fuse_error(error: Exception) -> FUSEError:
    if not isinstance(error, MeshcacheError):
        log.error("a request failed", error=repr(error), exc_info=error)
    return FUSEError(errno_of(error))


def _read_only(name: str) -> Callable[..., Coroutine[Any, Any, NoReturn]]:
    async def refuse(*_: object, **__: object) -> NoReturn:
        raise FUSEError(errno.EROFS)

    refuse.__name__ = name
    return refuse


class Filesystem(pyfuse3.Operations):
    """The handlers. Requests they do not define are answered ENOSYS by pyfuse3, once: for xattrs,
    flush, fsync and poll the kernel then stops asking, and says ENOTSUP or success itself."""

    supports_dot_lookup = True

    def __init__(
        self, tree: Tree, blocks: Blocks, watch: OpenWatch, waits: Waits, *, uid: int, gid: int
    ) -> None:
        super().__init__()
        self._tree = tree
        self._blocks = blocks
        self._watch = watch
        self._waits = waits
        self._file = _template(stat.S_IFREG | 0o444, 1, uid, gid)
        self._directory = _template(stat.S_IFDIR | 0o555, 2, uid, gid)

    def _attributes(self, entry: Entry) -> EntryAttributes:
        """Filled into one of two objects, which are used again: the kernel's copy is made before
        anything else runs, and a listing needs one for each name."""
        if entry.is_dir:
            attributes = self._directory
        else:
            attributes = self._file
            attributes.st_size = entry.size
            attributes.st_blocks = -(-entry.size // _BLOCK)
        attributes.st_ino = entry.inode
        attributes.st_mtime_ns = attributes.st_ctime_ns = attributes.st_atime_ns = entry.mtime_ns
        return attributes

    async def lookup(self, parent: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        # Not wrapped: its own cost shows.
        if len(name) > NAME_MAX:
            raise FUSEError(errno.ENAMETOOLONG)
        try:
            return self._attributes(self._tree.lookup(parent, name))
        except PathNotFound:
            absent = EntryAttributes()
            absent.st_ino = 0  # an entry that says: not there, and that this may be remembered
            absent.entry_timeout = NEGATIVE
            return absent
        except FUSEError:
            raise
        except Exception as error:
            raise _fuse_error(error) from error

    @_answered
    async def getattr(self, inode: int, ctx: RequestContext) -> EntryAttributes:
        return self._attributes(self._tree.entry(inode))

    @_answered
    async def open(self, inode: int, flags: int, ctx: RequestContext) -> FileInfo:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC):
            raise FUSEError(errno.EROFS)
        found = self._tree.file(inode)
        if self._watch.wants:
            with self._waits.wait(OPEN, inode) as until:
                await self._watch.opened(found, until)
        return FileInfo(fh=inode, keep_cache=True)

    async def read(  # type: ignore[override] # pyfuse3 takes any buffer
        self, fh: int, off: int, size: int
    ) -> bytes | memoryview:
        # Not wrapped: its own cost shows.
        try:
            found = self._tree.file(fh)
            size = min(size, found.size - off)
            if size <= 0:
                return b""
            index, start = divmod(off, self._blocks.block_size)
            block = self._blocks.mapped(fh, index)
            if block is None or start + size > len(block.view):
                with self._waits.wait(READ, fh, off) as until:
                    return await self._wait(found, index, start, size, until)
            if block.crossed_middle(start, start + size):
                self._blocks.prefetch(found, index + 1)
            return block.view[start : start + size]
        except FUSEError:
            raise
        except Exception as error:
            raise _fuse_error(error) from error

    async def _wait(
        self, found: Found, index: int, start: int, size: int, until: float
    ) -> bytes | memoryview:
        """A read of what is not mapped; or over the border of a block: rare, for the kernel aligns
        its readahead."""
        block = await self._blocks.get_part(found, index, start, start + size, until)
        if isinstance(block, bytes):
            return block
        if block.crossed_middle(start, start + size):
            self._blocks.prefetch(found, index + 1)
        parts = [block.view[start : start + size]]
        while (missing := size - sum(map(len, parts))) > 0:
            index += 1
            block = await self._blocks.get(found, index, until)
            parts.append(block.view[:missing])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def release(self, fh: int) -> None:
        pass

    @_answered
    async def opendir(self, inode: int, ctx: RequestContext) -> int:
        found = self._tree.find(inode)
        if not found.is_dir:
            raise FUSEError(errno.ENOTDIR)
        return inode

    @_answered
    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        for listed in self._tree.list(fh, start_id):
            attributes = self._attributes(listed.entry)
            if not pyfuse3.readdir_reply(token, listed.name, attributes, listed.next_offset):
                return

    async def releasedir(self, fh: int) -> None:
        pass

    @_answered
    async def readlink(self, inode: int, ctx: RequestContext) -> bytes:
        raise FUSEError(errno.EINVAL)

    @_answered
    async def access(self, inode: int, mode: int, ctx: RequestContext) -> bool:
        self._tree.find(inode)
        if mode & os.W_OK:
            raise FUSEError(errno.EROFS)
        return True

    @_answered
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        """The dataset as a full disk: df shows its size, and that nothing can be written."""
        head = self._tree.head
        usage = StatvfsData()
        usage.f_bsize = usage.f_frsize = 4096
        usage.f_blocks = -(-head.bytes // 4096)
        usage.f_bfree = usage.f_bavail = 0
        usage.f_files = head.rows
        usage.f_ffree = usage.f_favail = 0
        usage.f_namemax = NAME_MAX
        return usage

    setattr: Any = _read_only("setattr")
    mknod: Any = _read_only("mknod")
    mkdir: Any = _read_only("mkdir")
    unlink: Any = _read_only("unlink")
    rmdir: Any = _read_only("rmdir")
    symlink: Any = _read_only("symlink")
    rename: Any = _read_only("rename")
    link: Any = _read_only("link")
    create: Any = _read_only("create")
    write: Any = _read_only("write")


def _template(mode: int, links: int, uid: int, gid: int) -> EntryAttributes:
    attributes = EntryAttributes()
    attributes.st_mode = mode
    attributes.st_nlink = links
    attributes.st_uid, attributes.st_gid = uid, gid
    attributes.st_blksize = _PREFERRED
    attributes.entry_timeout = attributes.attr_timeout = FOREVER
    attributes.generation = 0
    return attributes
