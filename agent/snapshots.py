"""The snapshots this node has open.

A snapshot is one block, however large, of a file version whose origin is the mesh itself: so it
is placed, fetched once, checked, counted in the quota and found again after a restart like any
data. What the origin is for a file, *any member that holds it* is for a snapshot.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from meshcache.block import MIN_BLOCK_SIZE, Block, FileVersion
from meshcache.errors import (
    ChecksumMismatch,
    InvalidInput,
    OriginUnreachable,
    PeerError,
    StoreFull,
)
from meshcache.fetcher import Mesh
from meshcache.origin.base import Arrived, Listed, nobody
from meshcache.reader import Reader
from meshcache.singleflight import SingleFlight
from meshcache.snapshot import Snapshot, snapshot_id
from meshcache.store import Held, Store, memory_draft
from meshcache.wanted import SNAPSHOT_ORIGIN, Wanted


def snapshot_block(id: str, size: int) -> Block:
    """The one block that a snapshot of `size` bytes is."""
    block_size = max(MIN_BLOCK_SIZE, 1 << (size - 1).bit_length())
    return Block(FileVersion(SNAPSHOT_ORIGIN, id, id, size), block_size, 0)


class OpenSnapshot:
    """A snapshot in use: its table, and the block's file that the table lies in."""

    def __init__(self, snapshot: Snapshot, held: Held) -> None:
        self.snapshot = snapshot
        self.held = held


class Snapshots:
    """Opens snapshots by their heads, and keeps open those that are said to be in use."""

    def __init__(self, store: Store, reader: Reader) -> None:
        self._store = store
        self._reader = reader
        self._open: dict[str, OpenSnapshot] = {}
        self._opening: SingleFlight[str, None] = SingleFlight()

    async def keep(self, data: bytes) -> OpenSnapshot:
        """Put a snapshot that was just built into the store."""
        snapshot = await asyncio.to_thread(Snapshot, data)
        there = self._open.get(snapshot.id)
        if there is not None:
            return there
        id = snapshot_block(snapshot.id, len(data)).id
        held = await self._store.lend(id)
        if held is None:
            try:
                draft = self._store.reserve(id, len(data))
            except StoreFull:
                draft = memory_draft(id, len(data))
            try:
                await asyncio.to_thread(_fill, draft.view, data)
                held = await draft.commit()
            finally:
                draft.abort()
        return self._add(Snapshot(held.view, known_id=snapshot.id), held)

    def opened(self, id: str) -> OpenSnapshot | None:
        """The snapshot, if it is open."""
        return self._open.get(id)

    async def open(self, dataset: str, id: str, size: int) -> OpenSnapshot:
        """A dataset's snapshot of `size` bytes: what is open, or in the store, or at another
        member.

        Raises:
            OriginUnreachable: no member that could be reached holds it.
            ChecksumMismatch: what came has other bytes than its name says; it was thrown away.
            DeadlineExceeded: it took too long.
        """
        # Looked up after the flight, which lends to nobody: `retain` may come between the two.
        while (there := self._open.get(id)) is None:
            await self._opening.run(id, lambda: self._fetch(dataset, id, size))
        return there

    async def _fetch(self, dataset: str, id: str, size: int) -> None:
        block = snapshot_block(id, size)
        held = await self._reader.read(Wanted(dataset, block))
        try:
            await asyncio.to_thread(_check, held, id)
            self._add(Snapshot(held.view, known_id=id), held)
        except ChecksumMismatch:
            # It would be found here again, and given to others.
            self._store.discard(block.id)
            held.release()
            raise
        except InvalidInput as error:  # made by another version of this program
            held.release()
            raise OriginUnreachable(f"snapshot {id[:12]}: {error}") from error
        except BaseException:
            held.release()
            raise

    def _add(self, snapshot: Snapshot, held: Held) -> OpenSnapshot:
        there = self._open.get(snapshot.id)
        if there is not None:  # kept and opened at the same time, or of two equal datasets
            held.release()
            return there
        opened = self._open[snapshot.id] = OpenSnapshot(snapshot, held)
        return opened

    def retain(self, ids: Iterable[str]) -> None:
        """Close the snapshots that are not among these; their blocks may be evicted again."""
        used = set(ids)
        for id in [id for id in self._open if id not in used]:
            self._open.pop(id).held.release()

    def close(self) -> None:
        """Close all."""
        self.retain(())


def _fill(view: memoryview, data: bytes) -> None:
    view[:] = data


def _check(held: Held, id: str) -> None:
    if snapshot_id(held.view) != id:
        raise ChecksumMismatch(f"snapshot {id[:12]} has other bytes than its name says")


class SnapshotOrigin:
    """The members that hold a snapshot, as the origin it is read from (`meshcache.origin`)."""

    def __init__(self, dataset: str, mesh: Mesh, candidates: Callable[[], Iterable[str]]) -> None:
        """`candidates` gives the store ids of living members, likeliest first."""
        self._dataset = dataset
        self._mesh = mesh
        self._candidates = candidates

    @property
    def identity(self) -> str:
        return SNAPSHOT_ORIGIN

    def covers(self, key: str) -> bool:
        """Whoever knows a snapshot's id may have it from the mesh."""
        return True

    async def list(self) -> AsyncIterator[Listed]:
        """Nothing: a snapshot is known only by name."""
        nothing: tuple[Listed, ...] = ()
        for listed in nothing:
            yield listed

    async def read(
        self, file: FileVersion, offset: int, into: memoryview, arrived: Arrived = nobody
    ) -> None:
        wanted = Wanted(self._dataset, snapshot_block(file.key, file.size))
        for member in self._candidates():
            try:
                await self._mesh.fetch(member, wanted, into, only_if_held=True)
            except PeerError:
                continue
            if await asyncio.to_thread(snapshot_id, into) == file.key:
                return
        raise OriginUnreachable(f"no member that can be reached holds snapshot {file.key[:12]}")

    async def verify(self, file: FileVersion) -> None:
        """A snapshot is its own name."""

    async def close(self) -> None:
        """Nothing to give back."""
