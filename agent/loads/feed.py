"""A member's share of one run, handed out block by block in the order of the files."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from meshcache.block import Block
from meshcache.wanted import Wanted

Part = list[Block]
"""Blocks of the share."""


class Feed:
    """Takes parts of the share from a thread, and gives out the blocks that `lacks` tells."""

    def __init__(
        self,
        dataset: str,
        parts: Iterator[Part],
        *,
        lacks: Callable[[Block], bool],
        planned: Callable[[Part], None],
    ) -> None:
        """`planned` is told each part before its blocks are asked about."""
        self._dataset = dataset
        self._parts = parts
        self._lacks = lacks
        self._planned = planned
        self._ready: deque[Wanted] = deque()
        self._over = False
        self._refilling = asyncio.Lock()

    async def next(self) -> Wanted | None:
        """The next block that is lacking; None at the end."""
        while not self._ready and not self._over:
            async with self._refilling:
                if not self._ready and not self._over:
                    await self._refill()
        return self._ready.popleft() if self._ready else None

    async def _refill(self) -> None:
        part = await asyncio.to_thread(next, self._parts, None)
        if part is None:
            self._over = True
            return
        self._planned(part)
        self._ready.extend(Wanted(self._dataset, block) for block in part if self._lacks(block))
