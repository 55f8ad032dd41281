"""How soon a worker that died is replaced: at once, unless workers die one after the other.

That this begins and ends is said in the log, in lines that an exporter of events knows.
"""

import structlog

log = structlog.get_logger("meshcache.fuse.keeper")

PAUSES = (0.0,) * 8 + (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before the next worker begins, after one short life, two, ...; the last for all that
follow."""

SHORT_LIFE = 1.0
"""Seconds: a worker that served longer was sound, and its death is the first of a new row."""

LOOP = 9
"""Short lives in a row that are called a crash loop: from here on there are pauses."""


class Restarts:
    """The deaths of a mount's workers."""

    def __init__(self) -> None:
        self.deaths = 0
        """All of them."""
        self._row = 0

    @property
    def looping(self) -> bool:
        """Whether workers die one after the other."""
        return self._row >= LOOP

    def died(self, lived: float) -> float:
        """One has died that served for `lived` seconds, 0 if it never did; gives the pause."""
        self.deaths += 1
        was, self._row = self.looping, 1 if lived > SHORT_LIFE else self._row + 1
        if self.looping and not was:
            note = "workers die again and again: each new one waits longer"
            log.error("event", type="Warning", reason="MountWorkerCrashLoop", note=note)
        return PAUSES[min(self._row, len(PAUSES)) - 1]

    def lives(self, served: float) -> bool:
        """The present one serves; gives whether that ends a crash loop."""
        if not self.looping or served <= SHORT_LIFE:
            return False
        self._row = 0
        log.warning("event", type="Normal", reason="MountWorkerRecovered", note="it serves")
        return True
