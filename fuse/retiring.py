"""Workers that were replaced, and answer what they had read before they end."""

import math
from typing import NamedTuple

import structlog

from meshcache.fuse.messages import Ping
from meshcache.fuse.process import WorkerProcess
from meshcache.fuse.watch import Watch

log = structlog.get_logger("meshcache.fuse.keeper")

GRACE = 5.0
"""Seconds beyond a request's deadline until one that has not ended is ended."""


class _Last(NamedTuple):
    watch: Watch
    until: float


class Retiring:
    """The workers that retire."""

    def __init__(self, deadline: float) -> None:
        """`deadline` is a request's, in seconds."""
        self._limit = deadline + GRACE
        self._workers: dict[WorkerProcess, _Last] = {}

    def __len__(self) -> int:
        return len(self._workers)

    def add(self, worker: WorkerProcess, watch: Watch, now: float) -> None:
        """It reads no more requests."""
        self._workers[worker] = _Last(watch, now + self._limit)

    def watch(self, worker: WorkerProcess) -> Watch | None:
        """What was heard of it, if it is one of them."""
        last = self._workers.get(worker)
        return last and last.watch

    def tend(self, now: float) -> list[WorkerProcess]:
        """Ask them; gives those that are to be ended."""
        over: list[WorkerProcess] = []
        for worker, (watch, until) in self._workers.items():
            if now >= until or watch.hangs(now):
                log.error("a worker that was replaced does not end", pid=worker.pid)
                over.append(worker)
            elif watch.asks(now):
                worker.send(Ping())
        return over

    def next(self, now: float) -> float:
        """Seconds until `tend` is to be called again."""
        return min((last.watch.next(now) for last in self._workers.values()), default=math.inf)

    def remove(self, worker: WorkerProcess) -> None:
        """It has ended."""
        del self._workers[worker]

    def close(self) -> None:
        """Have all end."""
        for worker in self._workers:
            worker.close()
