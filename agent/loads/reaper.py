"""Which loads are forgotten, and when. Deleting twice does no harm."""

from meshcache.agent.loads.book import Book
from meshcache.agent.loads.record import Load
from meshcache.agent.mesh import MeshView

KEPT = 200
"""Ended loads that are remembered; the oldest make room."""

SILENT = 3600.0
"""Seconds after which the progress of a member that is gone is forgotten."""


class Reaper:
    """Deletes what had its time. One for each member; the first by rank does the work."""

    def __init__(self, book: Book, mesh: MeshView) -> None:
        self._book = book
        self._mesh = mesh

    def reap(self, now: float) -> float:
        """Delete what is due; when the next is, both in seconds since 1970."""
        next_at = float("inf")
        loads = self._book.loads()
        awaited = {
            load.run_after for load in loads.values() if not (load.released or load.cancelled)
        }
        ended = [load for load in loads.values() if _is_over(load) and load.name not in awaited]
        ended.sort(key=_ended)
        surplus = {load.name for load in ended[: max(0, len(ended) - KEPT)]}
        for load in ended:
            at = _ended(load) + load.ttl if load.ttl is not None else float("inf")
            if load.name in surplus or at <= now:
                if self._mesh.first(load.uid):
                    self._book.delete(load.name)
            else:
                next_at = min(next_at, at)
        for store, report in self._book.reports().items():
            silent = now - max((one.updated for one in report.loads), default=0.0) > SILENT
            if silent and store not in self._mesh.by_store and self._mesh.first(store):
                self._book.drop_report(store)
        return next_at


def _is_over(load: Load) -> bool:
    return load.end is not None and (load.policy != "Cron" or bool(load.cancelled))


def _ended(load: Load) -> float:
    return max(load.end.ended if load.end else 0.0, load.cancelled)
