"""How late the loop wakes gossip: the first thing to look at when members doubt themselves."""

from bisect import bisect_left

BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the histogram's buckets, in seconds; beyond the last comes one more. At 0.5 s a
member takes itself for the one that stood still."""


class Lag:
    """A histogram of seconds between when a timer was due and when it ran."""

    def __init__(self) -> None:
        """Begin without any."""
        self.counts = [0] * (len(BOUNDS) + 1)
        """How many fell into each bucket."""
        self.total = 0.0
        self.worst = 0.0

    def saw(self, seconds: float) -> None:
        """A timer ran so late."""
        late = max(seconds, 0.0)
        self.counts[bisect_left(BOUNDS, late)] += 1
        self.total += late
        self.worst = max(self.worst, late)
