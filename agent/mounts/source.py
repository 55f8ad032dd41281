"""What one mount may have of this agent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from meshcache.agent.catalog import Catalog, Freshness
from meshcache.agent.mounts.allowance import Allowance
from meshcache.agent.mounts.records import WorkersRecord
from meshcache.agent.snapshots import OpenSnapshot
from meshcache.dataset import Dataset
from meshcache.errors import MeshcacheError, ObjectChanged, OriginError
from meshcache.fuse.messages import Report
from meshcache.fuse.shown import MAX_SHOWN
from meshcache.prefetch import Prefetcher
from meshcache.reader import Reader
from meshcache.store import Held
from meshcache.wanted import Wanted

log = structlog.get_logger()

TELL_WITHIN = 10.0
"""Seconds that an open which found its file changed waits for the mount to show the new head."""


class Means(msgspec.Struct, frozen=True):
    """What all sources read with."""

    catalog: Catalog
    freshness: Freshness
    reader: Reader
    prefetcher: Prefetcher
    allowance: Allowance


class Source:
    """One dataset, read-only (`meshcache.fuse.door.DoorSource`)."""

    def __init__(
        self,
        dataset: Dataset,
        means: Means,
        pinned: OpenSnapshot | None,
        keeper: str,
        earlier: Mapping[str, int],
    ) -> None:
        """`pinned` is the one snapshot that it shows, whatever the head is; `earlier` are those
        that it showed while another agent was here, by id, with their bytes."""
        self._record = dataset
        self._means = means
        self._pinned = pinned
        self.keeper = keeper
        self.shown: dict[str, OpenSnapshot] = {}
        """The snapshots that the mount has shown; they stay open while it lives."""
        self.earlier = dict(list(earlier.items())[-MAX_SHOWN:])
        self.workers = WorkersRecord()
        self.moved = asyncio.Event()
        self._told = ""
        """The snapshot that the worker knows to be the head."""
        self._telling = asyncio.Event()

    @property
    def dataset(self) -> str:
        return self._record.name

    @property
    def block_size(self) -> int:
        return self._record.block_size

    @property
    def budget(self) -> int:
        return self._means.allowance.bytes

    @property
    def most(self) -> int:
        return self._means.allowance.blocks

    @property
    def opens(self) -> Literal["", "tell", "ask"]:
        dataset = self._means.catalog.find(self.dataset) or self._record
        match dataset.policy:
            case "check-on-open":
                return "ask"
            case "ttl" if self._pinned is None:
                return "tell"
        return ""

    async def snapshots(self) -> AsyncIterator[tuple[str, int, Path | int]]:
        opens = self._told = ""
        while True:
            self.moved.clear()
            try:
                opened = self._pinned or (await self._means.catalog.open(self.dataset))[1]
            except MeshcacheError as error:
                # The mount goes on showing what it shows; a deleted dataset stays readable.
                log.warning("no new head for a mount", dataset=self.dataset, error=str(error))
            else:
                id = opened.snapshot.id
                if id != self._told or self.opens != opens:
                    opens = self.opens
                    self._show(opened)
                    yield id, opened.snapshot.data.nbytes, opened.held.fileno()
                    # Asked for the next: the worker was told of this one.
                    self._told = id
                    self._telling.set()
            await self.moved.wait()

    async def opened(self, snapshot: str, row: int) -> None:
        freshness = self._means.freshness
        if not snapshot:
            freshness.touch(self.dataset)
            return
        opened = await self._open(snapshot)
        try:
            await freshness.check(self.dataset, opened.snapshot.file(row))
        except ObjectChanged:
            if self._pinned is None:
                with contextlib.suppress(OriginError, TimeoutError):
                    head = await freshness.relist(self.dataset)
                    await self._until_told(head.snapshot)
            raise

    async def _open(self, snapshot: str) -> OpenSnapshot:
        """A snapshot that the mount has shown, be it before the agent was restarted.

        Raises:
            ObjectChanged: it has not shown this one.
            OriginUnreachable: no member holds it any more.
        """
        opened = self.shown.get(snapshot)
        if opened is not None:
            return opened
        size = self.earlier.get(snapshot)
        if size is None:
            raise ObjectChanged(f"snapshot {snapshot[:12]} is not open any more")
        opened = await self._means.catalog.open_shown(self.dataset, snapshot, size)
        self.shown = {snapshot: opened} | self.shown  # the oldest: it goes first
        return opened

    async def _until_told(self, snapshot: str) -> None:
        async with asyncio.timeout(TELL_WITHIN):
            while self._told != snapshot:
                self._telling.clear()
                await self._telling.wait()

    def _show(self, opened: OpenSnapshot) -> None:
        self.shown.pop(opened.snapshot.id, None)  # one that is shown again is the newest again
        self.shown[opened.snapshot.id] = opened
        while len(self.shown) > MAX_SHOWN:
            del self.shown[next(iter(self.shown))]

    def reported(self, report: Report) -> None:
        workers = self.workers
        workers.state, workers.pid, workers.version = report.state, report.worker, report.version
        workers.restarts, workers.pause = report.restarts, report.pause
        workers.upgrades, workers.failed = report.upgrades, report.failed
        workers.problem = report.problem

    async def block(self, snapshot: str, row: int, index: int) -> Held:
        wanted = await self._wanted(snapshot, row, index)
        self._means.prefetcher.touch(wanted)
        return await self._means.reader.read(wanted)

    async def part(self, snapshot: str, row: int, index: int, start: int, stop: int) -> bytes:
        wanted = await self._wanted(snapshot, row, index)
        return await self._means.reader.part(wanted, start, stop)

    async def _wanted(self, snapshot: str, row: int, index: int) -> Wanted:
        opened = await self._open(snapshot)
        return Wanted(self.dataset, opened.snapshot.file(row).block(self.block_size, index))
