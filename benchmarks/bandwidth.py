"""A budget of bytes per second that many connections share."""

import asyncio

from meshcache.units import KIB


class Bandwidth:
    """Bytes per second over all who share it: each taker gets the next slot of time, in order.

    The schedule is absolute, so a late wake-up is caught up with and the mean rate is exact.
    """

    _CATCH_UP = 0.05
    """Seconds of unused bandwidth that are not lost: late wake-ups, gaps between answers."""

    def __init__(self, rate: float | None) -> None:
        """`rate` in bytes per second, None for no cap; may be set at any time."""
        self.rate = rate
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        """Wait until `size` bytes may pass."""
        if self.rate is None:
            return
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now - self._CATCH_UP) + size / self.rate
        if (wait := self._free_at - now) > 0:
            await asyncio.sleep(wait)

    def slice(self, size: int) -> int:
        """The most bytes to take at once: 20 ms of the rate, so that takers get turns."""
        return size if self.rate is None else min(size, max(16 * KIB, int(self.rate / 50)))
