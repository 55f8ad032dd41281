"""Hybrid logical clock: timestamps that follow the wall clock and never go back.

Kulkarni et al., "Logical Physical Clocks", 2014. A timestamp is 48 bits of ms since 1970 and 16
bits of counter; what happens after something that was seen always gets a higher one, also when
this host's clock is behind.
"""

COUNTER_BITS = 16


class HybridClock:
    """Gives timestamps above every one that it gave or saw."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, wall_ms: int) -> int:
        """A new timestamp at the wall time `wall_ms`."""
        self._last = max(self._last + 1, wall_ms << COUNTER_BITS)
        return self._last

    def saw(self, stamp: int) -> None:
        """Remember a timestamp of somebody else."""
        self._last = max(self._last, stamp)


def stamp_ms(stamp: int) -> int:
    """The wall time, ms since 1970, that a timestamp carries."""
    return stamp >> COUNTER_BITS
