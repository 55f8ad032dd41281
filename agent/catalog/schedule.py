"""Refreshing by the clock, without a clock-keeper.

Each member computes for each dataset when it would refresh it: the first by rank when the head is
as old as the dataset says, the second a little later, the third later still. A head that moves puts
all of them off, so as long as the first does its work the others never come to theirs; and the
ranks are those of living members, so one that died is passed over.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from meshcache.agent.catalog.refreshes import turn_key
from meshcache.dataset import Dataset, Head
from meshcache.placement import hash64

TURNS = 3
"""Members that watch over one dataset."""

SPREAD = 0.1
"""Datasets that are refreshed equally often are refreshed at different times: up to this part of
the interval earlier."""

MIN_GRACE, MAX_GRACE = 1.0, 60.0
"""Seconds by which each further member waits longer; between these, a quarter of the interval."""

_LONGEST = 3600.0


def due(dataset: Dataset, head: Head | None, rank: int) -> float:
    """When the member of that rank refreshes a dataset: seconds since 1970."""
    every = dataset.refresh_every
    early = SPREAD * (hash64(turn_key(dataset)) / 2**64)
    grace = min(MAX_GRACE, max(MIN_GRACE, every / 4))
    began = head.listed if head is not None else dataset.created
    return began + every * (1 - early) + rank * grace


class Schedule:
    """This member's part of it."""

    def __init__(
        self,
        datasets: Callable[[], Sequence[Dataset]],
        head: Callable[[str], Head | None],
        rank: Callable[[Dataset], int | None],
        refresh: Callable[[str], object],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Put it together.

        Args:
            datasets: gives all datasets.
            head: gives a dataset's head.
            rank: gives this member's rank for a dataset, from 0; None if it is not of the first
                `TURNS`.
            refresh: starts the refresh of a dataset here, and returns.
            now: seconds since 1970.
        """
        self._datasets = datasets
        self._head = head
        self._rank = rank
        self._refresh = refresh
        self._now = now
        self._tried: dict[str, float] = {}
        """Dataset's uid -> when this member began its last refresh."""
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Members, datasets or heads are others now."""
        self._changed.set()

    def start_due(self) -> float:
        """Begin what is due; gives the seconds until something may be."""
        now, wait = self._now(), _LONGEST
        datasets = [dataset for dataset in self._datasets() if dataset.refresh_every > 0]
        self._tried = {d.uid: self._tried[d.uid] for d in datasets if d.uid in self._tried}
        for dataset in datasets:
            rank = self._rank(dataset)
            if rank is None:
                continue
            # Once in an interval, whether or not it works: an origin that fails is not hammered.
            again = self._tried.get(dataset.uid, 0.0) + dataset.refresh_every * (1 - SPREAD)
            left = max(due(dataset, self._head(dataset.name), rank), again) - now
            if left <= 0:
                self._tried[dataset.uid] = now
                self._refresh(dataset.name)
                left = dataset.refresh_every
            wait = min(wait, left)
        return wait

    async def run(self) -> None:
        """Do this member's part, for ever."""
        while True:
            self._changed.clear()
            wait = self.start_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
