"""A member's view of datasets without a mesh."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from meshcache.agent.catalog import Entries, Listing, Refreshes
from meshcache.block import FileVersion
from meshcache.dataset import Dataset, Head, Mount
from meshcache.errors import OriginError, PeerUnreachable
from meshcache.gossip import Gossip
from meshcache.gossip.core.settings import Settings
from meshcache.gossip.core.statemap import ANY, Entry, StateMap, Version
from meshcache.gossip.core.statemap import Any as AnyVersion

DATASET = Dataset("data", (Mount("s3://bucket"),), uid="u1")


class FakeMap:
    """The replicated map of one member, with the core's own rules."""

    def __init__(self, now: "Clock") -> None:
        self._map = StateMap(b"w" * 16, Settings())
        self._now = now

    def get(self, space: str, key: str) -> Entry | None:
        return self._map.get(space, key)

    def items(self, space: str) -> list[tuple[str, Entry]]:
        return self._map.items(space)

    def revision(self, space: str) -> int:
        return self._map.revision(space)

    def put(
        self, space: str, key: str, value: bytes, *, expect: Version | AnyVersion | None = ANY
    ) -> None:
        self._map.write(space, key, value, expect, int(self._now() * 1000))

    def delete(self, space: str, key: str) -> None:
        self._map.write(space, key, None, ANY, int(self._now() * 1000))


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class FakeGossip:
    def __init__(self, now: Clock) -> None:
        self.map = FakeMap(now)

    def subscribe(self, _: object) -> Any:
        return lambda: None


class FakeListing:
    """Lists in no time, or when it is let."""

    def __init__(self, now: Clock, name: str) -> None:
        self.begun = 0
        self.let = asyncio.Event()
        self.let.set()
        self.error: OriginError | None = None
        self._now = now
        self._name = name

    async def list_dataset(self, dataset: Dataset) -> Head:
        self.begun += 1
        began = self._now()
        await self.let.wait()
        if self.error is not None:
            raise self.error
        snapshot = f"{self.begun:08x}" * 8
        return Head(dataset.uid, snapshot, 100, 1, 1, listed=began, lister=self._name)


class Mesh:
    """Members that share the records, each with a listing of its own."""

    def __init__(self, *names: str) -> None:
        self.now = Clock()
        self.ranking = list(names)
        self.entries = Entries(cast("Gossip", FakeGossip(self.now)))
        self.entries.add(DATASET)
        self.dead: set[str] = set()
        self.listings = {name: FakeListing(self.now, name) for name in names}
        self.members = {
            name: Refreshes(
                self.entries, cast("Listing", self.listings[name]), _Members(self, name)
            )
            for name in names
        }


class _Members:
    def __init__(self, mesh: Mesh, me: str) -> None:
        self._mesh = mesh
        self.me = me

    def ranked(self, key: bytes, count: int) -> Sequence[str]:
        assert b"u1" in key
        return self._mesh.ranking[:count]

    async def refresh(self, member: str, dataset: str) -> Head:
        if member in self._mesh.dead:
            raise PeerUnreachable(f"{member} does not answer")
        return await self._mesh.members[member].refresh_here(dataset)


class FakeOrigin:
    """Says what it is told to say of a file."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    async def verify(self, file: FileVersion) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error

    def for_block(self, _: object) -> "FakeOrigin":
        return self
