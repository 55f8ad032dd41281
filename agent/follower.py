"""Following the mesh: what this node does when members, datasets or heads change."""

import asyncio

import structlog

from meshcache.agent.catalog import DATASETS, HEADS, Schedule, turn_key
from meshcache.agent.catalog.schedule import TURNS
from meshcache.agent.held.summary import HELD
from meshcache.agent.node import Node
from meshcache.agent.snapshots import snapshot_block
from meshcache.dataset import Dataset
from meshcache.errors import MeshcacheError
from meshcache.gossip import Event, GossipError, MapChanged, NotRunning
from meshcache.origin.open import warm_up
from meshcache.tasks import TaskSet

log = structlog.get_logger()

SNAPSHOT_KEEPERS = 3
"""Members, by rank, that fetch a new snapshot before anybody asks: it outlives its lister."""

VERSIONS_SHARE = 20
"""Former versions' snapshots are kept from eviction in one part of that many of the store."""


SETTLE_PAUSE = 0.05
"""Seconds in which changes of datasets are seen together: a thousand may come at once."""


class Follower:
    """Follows gossip's events for the parts that act on them."""

    def __init__(self, node: Node, tasks: TaskSet) -> None:
        self._node = node
        self._tasks = tasks
        self._unsettled = asyncio.Event()
        self._schedule = Schedule(
            node.catalog.all, node.catalog.head, self._rank, self._start_refresh
        )

    def start(self) -> None:
        """Begin to refresh what is due, to let guests in, and to close what nobody uses."""
        self._tasks.start(self._settle(), name="settle what datasets there are")
        self._tasks.start(self._schedule.run(), name="refresh by the clock")

    def on_event(self, event: Event) -> None:
        """Act on an event."""
        if not isinstance(event, MapChanged):
            self._node.mesh.rebuild()
        elif event.namespace in (DATASETS, HEADS):
            name = event.key
            self._tasks.start(self._follow(name), name=f"follow dataset {name}")
            self._unsettled.set()
        else:
            return
        self._schedule.changed()

    async def _settle(self) -> None:
        """See to what concerns all datasets, once for all that change at about the same time."""
        while True:
            self._unsettled.clear()
            try:
                await self._settle_now()
            except NotRunning:
                return  # the agent is leaving
            except (MeshcacheError, GossipError) as error:
                log.warning("not all is done about the datasets", error=str(error))
            await self._unsettled.wait()
            await asyncio.sleep(SETTLE_PAUSE)

    async def _settle_now(self) -> None:
        node = self._node
        shown = node.catalog.shown_to_guests()
        await node.membership.admit(
            {name: entries | {(HELD, "")} for name, entries in shown.items()}
        )
        node.snapshots.retain(self._used())
        await node.catalog.forget_deleted()

    async def _follow(self, name: str) -> None:
        node = self._node
        head = node.catalog.head(name) if node.catalog.find(name) else None
        if head is not None:
            if node.config.role == "cache":
                await asyncio.to_thread(warm_up, node.catalog.get(name).mounts)
            keeps = self._keeps(head.snapshot, head.snapshot_size)
            if keeps or node.mounts.shows(name):
                await node.catalog.warm(name)
        await node.mounts.head_changed(name)
        self._unsettled.set()

    def _keeps(self, snapshot: str, size: int) -> bool:
        id = snapshot_block(snapshot, size).id
        return self._node.store.store_id in self._node.mesh.owners(id, SNAPSHOT_KEEPERS)

    def _used(self) -> set[str]:
        """The snapshots that stay open here, and so are not evicted."""
        node = self._node
        names = node.catalog.names()
        heads = (node.catalog.head(name) for name in names)
        used = {head.snapshot for head in heads if head} | node.mounts.snapshots()
        room = node.store.quota // VERSIONS_SHARE
        for version in (version for name in names for version in node.catalog.versions(name)):
            if version.name not in used and self._keeps(version.name, version.size):
                room -= version.size
                if room < 0:
                    break
                used.add(version.name)
        return used

    def _rank(self, dataset: Dataset) -> int | None:
        return self._node.mesh.rank(turn_key(dataset), TURNS)

    def _start_refresh(self, name: str) -> None:
        self._tasks.start(self._refresh(name), name=f"refresh {name}")

    async def _refresh(self, name: str) -> None:
        try:
            await self._node.refreshes.refresh_here(name)
        except MeshcacheError as error:
            log.warning("dataset not refreshed", dataset=name, error=str(error))
