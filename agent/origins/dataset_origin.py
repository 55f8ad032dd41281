"""Another dataset as an origin: ``dataset://NAME/PATH``, ``dataset://NAME@VERSION/PATH``.

Its files are those of the other dataset's head or version, taken from one snapshot, and keep the
identity and the key of the origin that has the bytes: so their blocks are the same blocks, and are
read with the other dataset's credentials (`meshcache.agent.origins`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import islice

from meshcache.agent.snapshots import OpenSnapshot
from meshcache.block import FileVersion
from meshcache.dataset import Dataset
from meshcache.errors import (
    DatasetNotFound,
    NotADirectory,
    NotAllowed,
    OriginNotFound,
    PathNotFound,
)
from meshcache.origin import Listed
from meshcache.origin.base import Arrived, nobody
from meshcache.snapshot import Snapshot

_BATCH = 1000
"""Files that one trip into a thread lists."""


class DatasetOrigin:
    """A directory or file of another dataset. Implements `Origin`; it lists, and never
    reads: what it lists belongs to the other's origins."""

    def __init__(
        self,
        name: str,
        path: str,
        open_dataset: Callable[[str], Awaitable[tuple[Dataset, OpenSnapshot]]],
    ) -> None:
        """`path` is below the other dataset's root; `open_dataset` gives its snapshot."""
        self._name = name
        self._path = path
        self._open_dataset = open_dataset

    @property
    def identity(self) -> str:
        """``dataset://NAME`` or ``dataset://NAME@VERSION``: of no file version."""
        return f"dataset://{self._name}"

    def covers(self, key: str) -> bool:
        """No key is its own."""
        return False

    async def list(self) -> AsyncIterator[Listed]:
        """All files at and below the path, as the head shows them now, or as the version does.

        Raises:
            OriginNotFound: there is no such dataset or version, or nothing at the path.
        """
        try:
            _, opened = await self._open_dataset(self._name)
            held = opened.held.share()
        except DatasetNotFound as error:
            raise OriginNotFound(f"{self.identity}: {error}") from error
        with held:
            files = _files(opened.snapshot, self._row(opened.snapshot))
            while batch := await asyncio.to_thread(lambda: list(islice(files, _BATCH))):
                for listed in batch:
                    yield listed

    def _row(self, snapshot: Snapshot) -> int:
        try:
            return snapshot.resolve(self._path)
        except (PathNotFound, NotADirectory) as error:
            raise OriginNotFound(f"{self.identity}: {error}") from error

    async def read(
        self, file: FileVersion, offset: int, into: memoryview, arrived: Arrived = nobody
    ) -> None:
        """Refuse: the other dataset's origins have the bytes.

        Raises:
            NotAllowed: always.
        """
        raise NotAllowed(f"{self.identity} has no bytes of its own")

    async def verify(self, file: FileVersion) -> None:
        """Refuse, as `read` does."""
        raise NotAllowed(f"{self.identity} has no bytes of its own")

    async def close(self) -> None:
        """Nothing to give back."""


def _files(snapshot: Snapshot, top: int) -> Iterator[Listed]:
    root = "" if not snapshot.is_dir(top) else snapshot.path(top)
    for row in snapshot.walk(top):
        file, source = snapshot.file(row), snapshot.source_of(row)
        path = snapshot.path(row)
        yield Listed(
            key=file.key,
            path=_below(root, path) if snapshot.is_dir(top) else path.rpartition("/")[2],
            size=file.size,
            mtime_ns=int(snapshot.mtime[row]),
            tag=file.tag,
            origin=file.origin,
            at=_below(root, source.mount.strip("/")) if source and snapshot.is_dir(top) else "",
        )


def _below(root: str, path: str) -> str:
    """`path` from `root` on; empty if it is not below."""
    if not root:
        return path
    return path[len(root) + 1 :] if path.startswith(root + "/") else ""
