"""What this member holds, told to the mesh: on change only, and no oftener than the mesh bears.

The store tells which blocks came and went. They are only noted; once at a time a thread compares
them with the samples, so that nothing is scanned for a change and the loop never waits.
"""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Mapping, MutableMapping
from copy import copy

import structlog

from meshcache.agent.catalog import Catalog
from meshcache.agent.held.census import Census
from meshcache.agent.held.followed import Followed, mark, summarise
from meshcache.agent.held.samples import Samples
from meshcache.agent.held.summary import (
    HELD,
    WRITE_BYTES,
    Page,
    Summary,
    encode_page,
    lay_out,
    pause,
    room,
    size_of,
)
from meshcache.agent.mesh import MeshView
from meshcache.block import BlockId
from meshcache.gossip import Gossip, GossipError, NotRunning
from meshcache.store import Store
from meshcache.traffic import Traffic

log = structlog.get_logger()

COUNTERS_EVERY = 5
"""Pauses after which counters are told that changed though no block came or went."""


class _Slot:
    """A page of this member: its key in the map, and what stands there."""

    def __init__(self, key: str = "") -> None:
        self.key = key
        """Empty while it has none: it is new, or somebody took it."""
        self.written = b""
        self.uids: list[str] = []


class Publisher:
    """Tells the mesh. `run` is its one task; all else only wakes it."""

    def __init__(
        self,
        *,
        store: Store,
        gossip: Gossip,
        mesh: MeshView,
        catalog: Catalog,
        samples: Samples,
        census: Census,
        traffic: MutableMapping[str, Traffic],
    ) -> None:
        """`traffic` is the reader's, by dataset's name; that of deleted datasets is thrown away."""
        self._store = store
        self._gossip = gossip
        self._mesh = mesh
        self._catalog = catalog
        self._samples = samples
        self._census = census
        self._traffic = traffic
        self._followed: dict[str, Followed] = {}
        self._names: dict[str, str] = {}
        self._slots: list[_Slot] = []
        self._adopted = False
        self._changes: dict[BlockId, bool] = {}
        self._changed = asyncio.Event()
        self._failing = False
        store.watch(self._note)

    def _note(self, block_id: BlockId, there: bool) -> None:
        self._changes[block_id] = there
        self._changed.set()

    def wake(self) -> None:
        """Something else changed that may have to be told: datasets, heads, samples."""
        self._changed.set()

    def overwritten(self, key: str, page: Page) -> None:
        """Somebody wrote that page. Two newcomers may take one page of somebody who is gone, and
        in a partition one side takes the other's: whoever was overwritten finds another."""
        for slot in self._slots:
            if slot.key == key and page.store != self._store.store_id:
                slot.key, slot.written = "", b""
                self._changed.set()

    async def run(self) -> None:
        """Publish for ever."""
        with contextlib.suppress(NotRunning):
            while True:
                members = len(self._mesh.by_store)
                rest = pause(members, await self._publish(members))
                await asyncio.sleep(rest)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout((COUNTERS_EVERY - 1) * rest):
                        await self._changed.wait()

    async def _publish(self, members: int) -> int:
        """Write what is not yet as it should be; the bytes that this cost each member."""
        self._changed.clear()
        new = self._follow()
        changes, self._changes = self._changes, {}
        there = list(self._store.ids()) if new else []
        known = [one for uid, one in self._followed.items() if uid not in new]
        followed, traffic = dict(self._followed), self._traffic_by_uid()

        def summed() -> dict[str, Summary]:
            mark(known, changes, new.values(), there)
            return summarise(followed, traffic, room(members))

        return self._write(await asyncio.to_thread(summed))

    def _follow(self) -> dict[str, Followed]:
        """Follow the heads as they are; those among them that are new here."""
        datasets = self._catalog.all()
        names = {dataset.uid: dataset.name for dataset in datasets}
        for uid in self._names.keys() - names:
            self._traffic.pop(self._names[uid], None)
            self._followed.pop(uid, None)
        self._names = names
        new = {}
        for dataset in datasets:
            head = self._catalog.head(dataset.name)
            sample = self._samples.get(head.snapshot, dataset.block_size) if head else None
            followed = self._followed.get(dataset.uid)
            # Until a new head's sample is here, the old head's marks are told on.
            if head and sample and (followed is None or followed.sample is not sample):
                new[dataset.uid] = self._followed[dataset.uid] = Followed(head.snapshot, sample)
        return new

    def _traffic_by_uid(self) -> Mapping[str, Traffic]:
        return {
            uid: copy(self._traffic[name])
            for uid, name in self._names.items()
            if name in self._traffic
        }

    def _write(self, summaries: Mapping[str, Summary]) -> int:
        if self._gossip.role != "full":
            return 0  # a leaf is in nobody's table: nobody would count it
        if not self._adopted:
            self._adopted = True
            self._slots = [_Slot(key) for key in self._census.pages_of(self._store.store_id)]
        sizes = {uid: size_of(summary) for uid, summary in summaries.items()}
        pages = lay_out(sizes, [slot.uids for slot in self._slots])
        self._slots += [_Slot() for _ in pages[len(self._slots) :]]
        cost = 0
        for slot, uids in zip(self._slots, pages, strict=True):
            slot.uids = uids
            page = Page(self._store.store_id, tuple(summaries[uid] for uid in uids))
            cost += self._write_page(slot, encode_page(page))
        return cost

    def _write_page(self, slot: _Slot, data: bytes) -> int:
        if data == slot.written:
            return 0
        key = slot.key or self._free_key()
        try:
            self._gossip.map.put(HELD, key, data)
        except NotRunning:
            raise
        except GossipError as error:  # the map is full: told again when something changes
            if not self._failing:
                log.warning("what this member holds is not told", error=str(error))
            self._failing = True
            return 0
        self._failing = False
        slot.key, slot.written = key, data
        return len(data) + WRITE_BYTES

    def _free_key(self) -> str:
        free = self._census.free_pages()
        return random.choice(free) if free else secrets.token_hex(4)
