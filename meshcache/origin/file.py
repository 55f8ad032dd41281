"""Origins in the file system of the nodes: ``file:///directory``, or one file; and
``pvc://claim/directory``, a folder below the place where a node has its volumes.

Every node that reads must see the same files there (a shared file system); a node that sees others
gets `ObjectChanged`, never wrong bytes. A version is told by modification time, size and inode: a
change that keeps all three is not noticed, nor a second one that keeps the size within one tick of
the file system's clock (up to 10 ms).

Links: a link to a file is shown as that file if the file lies below the root. Links to directories
and links that lead out of the root are not followed, and nothing is listed for them.
"""

import asyncio
import os
import re
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from meshcache.beneath import Outside, is_beneath, open_beneath
from meshcache.block import FileVersion
from meshcache.errors import (
    InvalidInput,
    NotAllowed,
    ObjectChanged,
    OriginDenied,
    OriginError,
    OriginFailed,
    OriginNotFound,
    OriginUnreachable,
)
from meshcache.origin.attempts import STALL
from meshcache.origin.base import Arrived, Listed, nobody
from meshcache.origin.sink import Sink
from meshcache.units import MIB

T = TypeVar("T")

_CLAIM = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")

_CHUNK = MIB
_THREADS = 8
_BATCH = 1000
"""Files that one trip into a thread lists."""


def folder_of(url: str) -> str:
    """The absolute path that a ``file://`` URL names, without ``.``, ``..`` and doubled slashes.

    Raises:
        InvalidInput: it names another host, or no absolute path.
    """
    parts = urlsplit(url)
    path = os.fsdecode(
        unquote(parts.path, errors="surrogateescape").encode(errors="surrogateescape")
    )
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or "\0" in path:
        raise InvalidInput(f"{url!r} is not a local directory: write it like file:///data/models")
    if parts.query or parts.fragment:
        raise InvalidInput(f"{url!r}: write '?' and '#' in a path as %3F and %23")
    return "/" + os.path.normpath(path).lstrip("/")


def claim_of(url: str) -> str:
    """``/claim/directory``: what a ``pvc://`` URL names below a node's folder of claims.

    Raises:
        InvalidInput: it names no claim.
    """
    claim, _, path = url.partition("://")[2].partition("/")
    if not _CLAIM.fullmatch(claim):
        raise InvalidInput(f"{url!r} names no claim: write it like pvc://claim/models")
    return f"/{claim}{folder_of(f'file:///{path}')}".rstrip("/")


class FileOrigin:
    """A directory, or one file. Implements `Origin`.

    Its threads read into memory of their own, so a read that was cancelled writes nowhere, and a
    file system that hangs holds up this origin alone.
    """

    def __init__(
        self,
        url: str,
        folder: str,
        *,
        base: str = "",
        within: str | None = None,
        identity: str = "file://",
    ) -> None:
        """Nothing is read before the first use.

        Args:
            url: for messages.
            folder: the root: absolute, counted from `base`.
            base: a folder of this node. Keys are paths from there, so that they are the same on
                nodes that have it elsewhere, and nested mounts share their blocks.
            within: a folder, counted from `base`, that no link may lead out of; the root itself
                may be a link within it. None: the root.
            identity: the same for all origins whose keys mean the same.
        """
        self.identity = identity
        self._url = url
        self._base = base
        self._root = folder
        self._within = base + (folder if within is None else within)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="file-origin")

    def covers(self, key: str) -> bool:
        """Whether the mount shows this path."""
        return is_beneath(key, self._root) and os.path.normpath(key) == key

    async def list(self) -> AsyncIterator[Listed]:
        """All files below the root; see `Origin.list`. What vanishes meanwhile is left out."""
        found = self._walk()
        while batch := await self._run(lambda: list(islice(found, _BATCH))):
            for item in batch:
                yield item

    def _walk(self) -> Iterator[Listed]:
        root = Path(self._base + self._root)
        if not is_beneath(os.path.realpath(root), os.path.realpath(self._within)):
            raise OriginDenied(f"{self._url}: a link leads out of it")
        if not root.is_dir():
            alone = root.stat()
            if not stat.S_ISREG(alone.st_mode):
                raise OSError(f"{root} is not a regular file")
            yield self._listed(str(root), root.name, alone)
            return
        real_root = os.path.realpath(root)
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                entries = os.scandir(root / folder)
            except FileNotFoundError:
                if not folder:
                    raise
                continue
            with entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(path)
                    elif (state := _state_of(entry, real_root)) is not None:
                        yield self._listed(entry.path, path, state)

    def _listed(self, place: str, path: str, state: os.stat_result) -> Listed:
        key = place[len(self._base) :]
        return Listed(
            key=key, path=path, size=state.st_size, mtime_ns=state.st_mtime_ns, tag=_tag(state)
        )

    async def read(
        self, file: FileVersion, offset: int, into: memoryview, arrived: Arrived = nobody
    ) -> None:
        """Fill `into` from `offset` on; see `Origin.read`."""
        self._check_shown(file)
        sink = Sink(into, arrived)
        while sink.left:
            sink.write(await self._run(lambda: self._chunk(file, offset + sink.done, sink.left)))

    def _check_shown(self, file: FileVersion) -> None:
        if file.origin != self.identity or not self.covers(file.key):
            raise NotAllowed(f"{self._url} does not show {file.key!r}")

    async def verify(self, file: FileVersion) -> None:
        """See `Origin.verify`."""
        self._check_shown(file)
        await self._run(lambda: self._verify(file))

    def _verify(self, file: FileVersion) -> None:
        descriptor = self._open(file)
        try:
            self._check(file, descriptor)
        finally:
            os.close(descriptor)

    def _open(self, file: FileVersion) -> int:
        try:
            return open_beneath(self._base + file.key, [self._within])
        except Outside:
            raise NotAllowed(f"{self._url}: {file.key!r} leads out of it") from None
        except FileNotFoundError as error:
            raise ObjectChanged(f"{self._url}: {file.key!r} is gone") from error

    def _chunk(self, file: FileVersion, offset: int, left: int) -> bytes:
        """Up to 1 MiB, of this version: its state is compared before and after."""
        descriptor = self._open(file)
        try:
            self._check(file, descriptor)
            data = os.pread(descriptor, min(left, _CHUNK), offset)
            self._check(file, descriptor)
        finally:
            os.close(descriptor)
        if not data:
            raise ObjectChanged(f"{self._url}: {file.key!r} has become shorter")
        return data

    def _check(self, file: FileVersion, descriptor: int) -> None:
        state = os.fstat(descriptor)
        if (_tag(state), state.st_size) != (file.tag, file.size):
            raise ObjectChanged(f"{self._url}: {file.key!r} was changed")

    async def _run(self, work: Callable[[], T]) -> T:
        """`work` in a thread of this origin, with our errors and a deadline."""
        try:
            async with asyncio.timeout(STALL):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise OriginUnreachable(f"{self._url}: the file system does not answer") from error
        except OSError as error:
            raise self._meaning(error) from error
        except RuntimeError as error:  # the threads were shut down by `close`
            raise OriginUnreachable(f"{self._url}: it was closed") from error

    def _meaning(self, error: OSError) -> OriginError:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return OriginNotFound(f"{self._url}: there is no such file or directory")
        if isinstance(error, PermissionError):
            return OriginDenied(f"{self._url}: permission denied")
        why = os.strerror(error.errno).lower() if error.errno else "not a regular file"
        return OriginFailed(f"{self._url}: {why}")

    async def close(self) -> None:
        """End the threads, once they are done. Idempotent."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _state_of(entry: "os.DirEntry[str]", real_root: str) -> os.stat_result | None:
    """The state of the regular file that an entry is or leads to, if that is below the root."""
    try:
        state = entry.stat()
        inside = not entry.is_symlink() or is_beneath(os.path.realpath(entry.path), real_root)
    except OSError:  # a link to nowhere or in a circle, or a file that vanished just now
        return None
    return state if inside and stat.S_ISREG(state.st_mode) else None


def _tag(state: os.stat_result) -> str:
    return f"{state.st_mtime_ns:x}-{state.st_size:x}-{state.st_ino:x}"
