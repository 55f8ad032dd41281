"""A token bucket: so many now and then, so many a second for ever."""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Lets `burst` through at once and `rate` a second after that."""

    rate: float
    burst: float
    _level: float = 0.0
    """How much was taken that has not flowed back yet."""
    _at: float = 0.0

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Whether this much may pass at the time `now`; if so it is taken."""
        level = max(0.0, self._level - (now - self._at) * self.rate)
        self._at = now
        if level + cost > self.burst:
            self._level = level
            return False
        self._level = level + cost
        return True
