"""Blocks that are just coming from an origin, and readers who wait for a part of one.

What has come of a block may be shown before the rest is there: the origin's answer was found to be
of the right version before its first byte was taken (`meshcache.origin.base.Origin.read`). From a
member it may not, for the checksums come last.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from meshcache.block import BlockId


class Arrival:
    """One block on its way."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._reached = 0
        self.waiting: list[_Wait] = []

    def reach(self, count: int) -> None:
        """The first `count` bytes are there and right."""
        self._reached = count
        for wait in self.waiting:
            self.serve(wait)

    def serve(self, wait: "_Wait") -> None:
        """Give a waiter its bytes, if they are there."""
        if wait.stop <= self._reached and not wait.bytes.done():
            wait.bytes.set_result(bytes(self._view[wait.start : wait.stop]))


class _Wait:
    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop
        self.bytes: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()


class Arrivals:
    """The blocks on their way to one node. Belongs to one event loop."""

    def __init__(self) -> None:
        self._coming: dict[BlockId, Arrival] = {}
        self._waiting: defaultdict[BlockId, list[_Wait]] = defaultdict(list)

    @contextmanager
    def coming(self, id: BlockId, view: memoryview) -> Iterator[Arrival]:
        """A block comes into `view` within this."""
        arrival = Arrival(view)
        arrival.waiting = self._waiting[id]
        self._coming[id] = arrival
        try:
            yield arrival
        finally:
            del self._coming[id]
            self._forget(id)

    async def part(self, id: BlockId, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of a block, as soon as they have come. It waits, if need be for
        ever, for a block that comes in no such way: the caller ends it when the block is there."""
        wait = _Wait(start, stop)
        self._waiting[id].append(wait)
        try:
            if id in self._coming:
                self._coming[id].serve(wait)
            return await wait.bytes
        finally:
            self._waiting[id].remove(wait)
            self._forget(id)

    def _forget(self, id: BlockId) -> None:
        if id not in self._coming and not self._waiting[id]:
            del self._waiting[id]
