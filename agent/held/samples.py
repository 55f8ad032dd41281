"""The samples of the datasets' heads, on every member.

Who has the snapshot open computes its sample; the others ask for it, so that nobody needs a large
snapshot only to say what it holds. It is 20 bytes for each block in it, at most 328 KiB.
"""

import asyncio
import random
from collections.abc import Callable

from meshcache.agent.catalog import Catalog
from meshcache.agent.held.sample import Sample
from meshcache.agent.mesh import MeshView, Peer
from meshcache.agent.mesh.peers import PeerClient
from meshcache.agent.snapshots import OpenSnapshot, Snapshots, snapshot_block
from meshcache.dataset import Dataset, Head
from meshcache.errors import InvalidInput, MeshcacheError, PeerError
from meshcache.gossip import NotRunning
from meshcache.singleflight import SingleFlight
from meshcache.store import Store
from meshcache.tasks import TaskSet

ASKED = 3
"""Members that one attempt asks: the one that listed, and two others."""

RETRY_FIRST = 0.3
RETRY_MOST = 30.0
"""Seconds from one attempt to the next, doubling: a snapshot may be on its way, or lost."""

Key = tuple[str, int]
"""A snapshot's id and a block size."""


class Samples:
    """Has a sample of each head, sooner or later."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        snapshots: Snapshots,
        store: Store,
        mesh: MeshView,
        client: PeerClient,
        tasks: TaskSet,
        on_new: Callable[[], None],
        only: str = "",
    ) -> None:
        """`on_new` is called for each sample that has come; `only` names the one dataset whose
        sample others give to this member, empty: they give all."""
        self._catalog = catalog
        self._snapshots = snapshots
        self._store = store
        self._mesh = mesh
        self._client = client
        self._tasks = tasks
        self._on_new = on_new
        self._only = only
        self._samples: dict[Key, Sample] = {}
        self._wanted: set[Key] = set()
        self._computing: SingleFlight[Key, Sample] = SingleFlight()

    def get(self, snapshot: str, block_size: int) -> Sample | None:
        """The sample of that head; None while it is on its way."""
        return self._samples.get((snapshot, block_size))

    def follow(self) -> None:
        """See what heads there are: get what is missing, forget what is no head any more."""
        heads = dict(self._heads())
        for key in self._samples.keys() - heads:
            del self._samples[key]
        for key in heads.keys() - self._samples.keys() - self._wanted:
            self._wanted.add(key)
            name = heads[key].name
            self._tasks.start(self._obtain(name, key), name=f"sample of dataset {name}")

    def _heads(self) -> list[tuple[Key, Dataset]]:
        found = []
        for dataset in self._catalog.all():
            head = self._catalog.head(dataset.name)
            if head is not None and self._only in ("", dataset.name):
                found.append(((head.snapshot, dataset.block_size), dataset))
        return found

    async def _obtain(self, name: str, key: Key) -> None:
        pause = RETRY_FIRST
        try:
            while (head := self._head(name, key)) is not None:
                sample = await self._attempt(name, head, key)
                if sample is not None:
                    self._samples[key] = sample
                    self._on_new()
                    return
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_MOST)
        except NotRunning:
            pass  # the agent is leaving
        finally:
            self._wanted.discard(key)

    def _head(self, name: str, key: Key) -> Head | None:
        """The dataset's head, while it is the one of that key."""
        try:
            block_size = self._catalog.get(name).block_size
            head = self._catalog.head(name)
        except MeshcacheError:
            return None
        return head if head and (head.snapshot, block_size) == key else None

    async def _attempt(self, name: str, head: Head, key: Key) -> Sample | None:
        sample = await self.given(name, head, key[1])
        if sample is not None:
            return sample
        target = f"/v1/datasets/{name}/sample?snapshot={head.snapshot}"
        for peer in self._likely(head)[:ASKED]:
            try:
                if data := await self._client.get(peer, target):
                    return await asyncio.to_thread(Sample.decode, data)
            except (PeerError, InvalidInput):
                continue
        return None

    def _likely(self, head: Head) -> list[Peer]:
        peers = self._mesh.living()
        random.shuffle(peers)  # the more have it already, the likelier is any of them to
        return sorted(peers, key=lambda peer: peer.name != head.lister)

    async def given(self, name: str, head: Head, block_size: int) -> Sample | None:
        """The sample, from what is on this node alone."""
        key = (head.snapshot, block_size)
        there = self._samples.get(key)
        if there is not None:
            return there
        opened = await self._opened(name, head)
        if opened is None:
            return None
        snapshot = opened.snapshot
        return await self._computing.run(
            key, lambda: asyncio.to_thread(Sample.of, snapshot, block_size)
        )

    async def _opened(self, name: str, head: Head) -> OpenSnapshot | None:
        opened = self._snapshots.opened(head.snapshot)
        if opened is None and snapshot_block(head.snapshot, head.snapshot_size).id in self._store:
            try:
                opened = await self._snapshots.open(name, head.snapshot, head.snapshot_size)
            except MeshcacheError:
                return None
        return opened
