"""Workers that were replaced, and answer what they had read before they end."""

import structlog

from meshcache.fuse.process import WorkerProcess

log = structlog.get_logger("meshcache.fuse.keeper")

GRACE = 5.0
"""Seconds beyond a request's deadline until one that has not ended is ended."""


class Retiring:
    """The workers that retire."""

    def __init__(self, deadline: float) -> None:
        """`deadline` is a request's, in seconds."""
        self._limit = deadline + GRACE
        self._until: dict[WorkerProcess, float] = {}

    def __contains__(self, worker: WorkerProcess) -> bool:
        return worker in self._until

    def __len__(self) -> int:
        return len(self._until)

    def add(self, worker: WorkerProcess, now: float) -> None:
        """It reads no more requests."""
        self._until[worker] = now + self._limit

    def check(self, now: float) -> None:
        """End what does not end by itself."""
        for worker in [worker for worker, until in self._until.items() if now >= until]:
            log.error("a worker that was replaced does not end", pid=worker.pid)
            worker.kill()
            self._until[worker] = now + self._limit

    def remove(self, worker: WorkerProcess) -> None:
        """It has ended."""
        del self._until[worker]

    def close(self) -> None:
        """Have all end."""
        for worker in self._until:
            worker.close()
