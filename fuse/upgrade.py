"""The replacement of a worker on demand: a spare of the program as it is installed now."""

from collections.abc import Callable

import structlog

from meshcache.fuse.spares import Spares

log = structlog.get_logger("meshcache.fuse.keeper")

LIMIT = 60.0
"""Seconds from its beginning until the new worker takes over."""


class Upgrade:
    """How far it has come, and how often it came to its end. At most one at a time."""

    def __init__(
        self, spares: Spares, on_door_wanted: Callable[[], None], on_failed: Callable[[], None]
    ) -> None:
        """`on_door_wanted` is called when the new worker is ready, and needs a door of its own."""
        self._spares = spares
        self._on_door_wanted = on_door_wanted
        self._on_failed = on_failed
        self.done = 0
        """Upgrades."""
        self.failed = 0
        """Attempts that failed: the worker is still the one before."""
        self.problem = ""
        """Why the last of them did."""
        self._asked = False
        self._wants_door = False
        self._until: float | None = None

    def ask(self) -> None:
        """Have one, as soon as it may be."""
        self._asked = True

    def tend(self, now: float, *, may_begin: bool) -> None:
        """Do what is to be done for it."""
        if self._until is None:
            # One after the other: the worker that was replaced last has to end first.
            if self._asked and may_begin and not self._spares.is_renewed:
                self._asked, self._until = False, now + LIMIT
                self._spares.renew()
        elif now >= self._until:
            self.fail(f"it was not ready within {LIMIT:g} s")
        elif self._spares.ready and not self._wants_door:
            self._wants_door = True
            self._on_door_wanted()

    @property
    def is_ready(self) -> bool:
        """Whether the new worker may take over, with the door that comes."""
        return self._wants_door and self._spares.ready

    def fail(self, why: str) -> None:
        """There is no new worker: if one was to be, it came to nothing."""
        if self._until is None:
            return
        log.error("the worker is not replaced by a newer one", why=why)
        self._end()
        self.failed += 1
        self.problem = why
        self._spares.go_back()
        self._on_failed()

    def taken_over(self) -> None:
        """A spare has: if one was to be, it is that."""
        if self._until is not None:
            self._end()
            self.done += 1

    def _end(self) -> None:
        self._until, self._wants_door = None, False
