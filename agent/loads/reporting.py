"""When a member says how far it is: at once where a share has ended, else now and then."""

from collections.abc import Callable, Sequence

from meshcache.agent.loads.record import Progress

OFTEN, SELDOM = 1.0, 5.0
"""Seconds between two reports, in a small and in a large mesh."""

MEMBERS = 20
"""Members for each second between two reports."""


class Reporting:
    """Decides, and remembers what was said."""

    def __init__(self, write: Callable[[tuple[Progress, ...]], None]) -> None:
        self._write = write
        self._at = float("-inf")
        self._ends: set[tuple[str, int, str, float]] = set()
        """The shares that are known to have ended."""

    def report(self, progress: Sequence[Progress], members: int, now: float) -> float:
        """Write this member's progress if it is time; when to look again, infinity for never.

        `progress` is of all loads that it works or worked on, `members` the size of the mesh.
        """
        every = min(SELDOM, max(OFTEN, members / MEMBERS))
        # By when each ended: a share may end, begin anew and end again between two looks.
        ends = {(one.uid, one.run, one.view, one.ended) for one in progress if one.ended}
        if progress and (ends != self._ends or now >= self._at + every):
            self._write(tuple(progress))
            self._at, self._ends = now, ends
        working = any(not one.ended for one in progress)
        return self._at + every if working else float("inf")
