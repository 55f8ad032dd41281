"""Fetching a share: what the store lacks of it, several blocks at a time, what failed once more."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from meshcache.agent.loads.feed import Feed, Part
from meshcache.agent.loads.pace import Pace
from meshcache.agent.loads.record import Progress
from meshcache.block import Block
from meshcache.errors import (
    ChecksumMismatch,
    DeadlineExceeded,
    MeshcacheError,
    OriginFailed,
    OriginUnreachable,
    PeerError,
)
from meshcache.reader import Reader
from meshcache.store import Store
from meshcache.wanted import Wanted

CONCURRENCY = 32
"""Blocks that a member fetches at a time, for all its loads together: as many as an origin is
given connections."""

PASSING = (OriginUnreachable, OriginFailed, PeerError, DeadlineExceeded, ChecksumMismatch)
"""What may be over at the next attempt."""

PAUSES = (1.0, 4.0)
"""Seconds before what failed is tried a second and a third time."""

HOPELESS = 2 * CONCURRENCY
"""Failures in a row after which the rest of an attempt is left for the next: the origin is down."""

MAX_MESSAGE = 200
"""Characters of a failure: all of a member's loads share one entry of gossip's map."""

Source = Callable[[], Awaitable[Wanted | None]]


class Means(msgspec.Struct, frozen=True):
    """What fetching takes."""

    store: Store
    reader: Reader
    slots: asyncio.Semaphore
    """Shared by all loads of this member."""
    now: Callable[[], float]


class Fetch:
    """One share, fetched once. Writes how far it is into `progress`."""

    def __init__(
        self, means: Means, progress: Progress, pace: Pace, stop: asyncio.Event, *, member: str
    ) -> None:
        """`stop`, once set, lets what is under way come to its end, and begins nothing more."""
        self._means = means
        self._progress = progress
        self._pace = pace
        self._stop = stop
        self._member = member
        self._failed: list[Wanted] = []
        self._lost = 0
        self._in_row = 0
        self._all_kept = True

    async def run(self, dataset: str, share: Callable[[], Iterator[Part]]) -> None:
        """Fetch the share; `share` gives it from its beginning, as often as it is called."""
        progress, store = self._progress, self._means.store
        evictions = store.evictions
        feed = Feed(dataset, share(), lacks=self._lacks, planned=self._plan)
        await self._attempt(feed.next)
        if self._stop.is_set():
            return
        progress.planned = True
        for pause in PAUSES:
            if not self._failed or await self._stopped(pause):
                break
            again, self._failed = self._failed[::-1], []
            await self._attempt(_popping(again))
        if progress.failed:
            return
        progress.message = ""  # of what failed at first
        if store.evictions != evictions or not self._all_kept:
            await self._see_what_is_kept(share())

    async def _attempt(self, source: Source) -> None:
        self._in_row = 0

        async def work() -> None:
            while not self._stop.is_set() and (wanted := await source()) is not None:
                await self._fetch(wanted)

        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(work())

    async def _stopped(self, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    def _plan(self, part: Part) -> None:
        self._progress.blocks += len(part)
        self._progress.bytes += sum(block.length for block in part)

    def _lacks(self, block: Block) -> bool:
        if block.id not in self._means.store:
            return True
        self._done(block)
        return False

    def _done(self, block: Block) -> None:
        self._progress.blocks_done += 1
        self._progress.bytes_done += block.length
        self._progress.updated = self._means.now()

    async def _fetch(self, wanted: Wanted) -> None:
        if self._in_row >= HOPELESS:
            self._failed.append(wanted)
            return
        try:
            await self._pace.take(wanted.block.length)
            async with self._means.slots:
                await self._means.reader.load(wanted)
        except MeshcacheError as error:
            self._fail(wanted, error)
            return
        self._in_row = 0
        self._progress.fetched += wanted.block.length
        self._all_kept &= wanted.block.id in self._means.store
        self._done(wanted.block)
        self._progress.failed = self._lost + len(self._failed)

    def _fail(self, wanted: Wanted, error: MeshcacheError) -> None:
        self._in_row += 1
        if isinstance(error, PASSING):
            self._failed.append(wanted)
        else:
            self._lost += 1
        progress = self._progress
        progress.failed = self._lost + len(self._failed)
        if not progress.message:
            said = f"{wanted.block.file.key!r} at {self._member}: {error}"
            progress.message = said[:MAX_MESSAGE]
        progress.updated = self._means.now()

    async def _see_what_is_kept(self, parts: Iterator[Part]) -> None:
        """A load that its store has no room for must not look complete."""
        progress, store = self._progress, self._means.store
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            for block in part:
                if block.id not in store:
                    progress.failed += 1
                    progress.blocks_done -= 1
                    progress.bytes_done -= block.length
        if progress.failed:
            progress.message = (
                f"the store of {self._member} is full: {progress.failed} blocks of its share of "
                f"{progress.blocks} were not kept"
            )


def _popping(left: list[Wanted]) -> Source:
    async def next_one() -> Wanted | None:
        return left.pop() if left else None

    return next_one
