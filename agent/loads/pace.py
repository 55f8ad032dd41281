"""A load's rate: who takes bytes waits until they are due."""

import asyncio
from collections.abc import Awaitable, Callable


class Pace:
    """Bytes per second, for all who take of one load on one member."""

    def __init__(
        self,
        rate: Callable[[], float],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`rate` gives the bytes per second that hold now, 0 for no limit; `clock` seconds."""
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        """Wait for the turn of `size` bytes. Nothing is saved up while nobody takes."""
        rate = self._rate()
        if not rate:
            return
        now = self._clock()
        begins = max(now, self._free_at)
        self._free_at = begins + size / rate
        if begins > now:
            await self._sleep(begins - now)
