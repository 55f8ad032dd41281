"""Several nodes in one process: real stores and readers, a mesh that is a function call."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from meshcache.block import Block, BlockId, FileVersion
from meshcache.budget import Budget
from meshcache.errors import ObjectChanged, PeerUnreachable
from meshcache.origin.base import Arrived, Listed, Origin, nobody
from meshcache.reader import Reader
from meshcache.store import Store
from meshcache.traffic import Purpose
from meshcache.units import MIB
from meshcache.wanted import Wanted

BLOCK_SIZE = 1 * MIB


class CountingOrigin:
    """An origin of one object that counts what is asked of it, and can be held up."""

    identity = "test:"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.part = len(data)
        """Bytes that come at a time, each when `next_part` is set."""
        self.next_part = asyncio.Event()
        self.next_part.set()

    @property
    def file(self) -> FileVersion:
        return FileVersion(self.identity, "object", "v1", len(self.data))

    def covers(self, key: str) -> bool:
        return True

    async def list(self) -> AsyncIterator[Listed]:
        nothing: tuple[Listed, ...] = ()
        for listed in nothing:
            yield listed

    async def verify(self, file: FileVersion) -> None:
        if file != self.file:
            raise ObjectChanged("the object was replaced")

    async def read(
        self, file: FileVersion, offset: int, into: memoryview, arrived: Arrived = nobody
    ) -> None:
        self.reads += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        if file != self.file:
            raise ObjectChanged("the object was replaced")
        for start in range(0, len(into), self.part):
            part = self.data[offset + start : offset + len(into)][: self.part]
            into[start : start + len(part)] = part
            arrived(start + len(part))
            await self.next_part.wait()

    async def close(self) -> None:
        pass


class Wires:
    """Who can reach whom; and what was asked over them."""

    def __init__(self) -> None:
        self.readers: dict[str, Reader] = {}
        self.dead: set[str] = set()
        self.fetches: list[tuple[str, str]] = []


class View:
    """One node's view of the mesh: an order of owners that the test chooses."""

    def __init__(self, me: str, wires: Wires, owners: list[str]) -> None:
        self.me = me
        self.wires = wires
        self.order = owners
        self.previous: list[str] = []

    def owners(self, id: BlockId, count: int) -> Sequence[str]:
        return self.order[:count]

    def previous_owners(self, id: BlockId, count: int) -> Sequence[str]:
        return self.previous[:count]

    async def fetch(
        self,
        member: str,
        wanted: Wanted,
        into: memoryview,
        *,
        only_if_held: bool,
        purpose: Purpose = "read",
    ) -> bytes:
        self.wires.fetches.append((self.me, member))
        if member in self.wires.dead:
            raise PeerUnreachable(member)
        held = await self.wires.readers[member].fill(
            wanted, only_if_held=only_if_held, purpose=None if only_if_held else purpose
        )
        with held:
            into[:] = held.view
            return held.checksums


class Nodes:
    """Nodes "a", "b", ...: by default all take "a" for the owner of everything."""

    def __init__(
        self, folder: Path, origin: Origin, names: str = "abc", quota: int = 64 * MIB
    ) -> None:
        self.wires = Wires()
        self.views = {name: View(name, self.wires, list(names)) for name in names}
        self.stores = {name: Store.open(folder / name, quota) for name in names}
        for name in names:
            self.wires.readers[name] = Reader(
                self.stores[name],
                self.views[name],
                lambda wanted: origin,
                Budget(32 * MIB),
                deadline=20.0,
            )

    def __getitem__(self, name: str) -> Reader:
        return self.wires.readers[name]

    async def bytes_of(self, name: str, block: Block) -> bytes:
        """A block, as a reader on that node has it."""
        with await self[name].read(Wanted("data", block)) as held:
            return bytes(held.view)

    def close(self) -> None:
        for store in self.stores.values():
            store.close()
