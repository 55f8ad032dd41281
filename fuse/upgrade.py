"""The replacement of a worker on demand: how far it has come, and how often it came to its end."""

LIMIT = 60.0
"""Seconds from its beginning until the new worker takes over."""


class Upgrade:
    """At most one at a time. Pure: what is to be done for it, its owner does."""

    def __init__(self) -> None:
        self.done = 0
        """Upgrades."""
        self.failed = 0
        """Attempts that failed: the worker is still the one before."""
        self.problem = ""
        """Why the last of them did."""
        self.wants_door = False
        """Whether the new worker is ready, and waits for a door of its own."""
        self._asked = False
        self._until: float | None = None

    @property
    def under_way(self) -> bool:
        """Whether a new worker is being made ready."""
        return self._until is not None

    def ask(self) -> None:
        """Have one, as soon as it may be."""
        self._asked = True

    def begins(self, now: float) -> bool:
        """It may be now. Whether one was asked for; if so, it has begun."""
        if not self._asked:
            return False
        self._asked, self._until = False, now + LIMIT
        return True

    def is_late(self, now: float) -> bool:
        """Whether it takes too long."""
        return self._until is not None and now >= self._until

    def fail(self, why: str) -> None:
        """It came to nothing."""
        self._end()
        self.failed += 1
        self.problem = why

    def succeed(self) -> None:
        """The new worker has taken over."""
        self._end()
        self.done += 1

    def _end(self) -> None:
        self._until, self.wants_door = None, False
