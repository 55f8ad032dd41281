"""Who answers the kernel of a mount, and what becomes of requests between two workers."""

import os
import time
from contextlib import nullcontext

import structlog

from meshcache.fuse.kernel import Kernel
from meshcache.fuse.messages import Go, Ping, Serve
from meshcache.fuse.process import WorkerProcess
from meshcache.fuse.rawrequest import RawRequest
from meshcache.fuse.restarts import SHORT_LIFE
from meshcache.fuse.standin import StandIn
from meshcache.fuse.watch import Watch

log = structlog.get_logger("meshcache.fuse.keeper")

LOOK_EVERY = 0.5
"""Seconds between two looks at the requests that wait while there is no worker."""


class Service:
    """The answering of one mount's requests, over all its workers."""

    def __init__(self, kernel: Kernel, terms: Serve) -> None:
        """Nobody answers yet."""
        self._kernel = kernel
        self._deadline = terms.deadline
        self._stand_in = StandIn(kernel, deadline=terms.deadline, too_late=terms.too_late)
        self._watch: Watch | None = None
        self._began = 0.0
        self._gone_at: float | None = None
        self._look_at = 0.0
        self.answering = False
        """Whether a worker answers the kernel at this moment."""
        self.lasts = True
        """Whether another worker can take over when this one dies."""
        self.pause = 0.0
        """Seconds for which nobody answered, the last time."""

    @property
    def ended(self) -> bool:
        """Whether there is nothing to answer any more: the file system was unmounted."""
        return self._kernel.ended

    def begin(self, worker: WorkerProcess) -> None:
        """Have a worker answer, that is ready to."""
        now = self._began = time.monotonic()
        self._watch = Watch(self._deadline, now, lambda: self._stand_in.over_at)
        try:
            device = self._kernel.open_for_worker()
        except OSError as error:
            log.warning("this mount will not outlive its worker", why=str(error))
            self.lasts = False
            device = os.dup(self._kernel.device)
        waited = 0.0 if self._gone_at is None else self._stand_in.waited(now)
        worker.send(Go(waited), [device])
        os.close(device)

    def answers(self, worker: WorkerProcess) -> None:
        """It has begun to."""
        self.answering = True
        if self._gone_at is not None:
            self.pause = round(time.monotonic() - self._gone_at, 4)
            self._gone_at = None
            log.warning("another worker answers", pid=worker.pid, after=self.pause)

    def served(self, now: float) -> float:
        """Seconds for which the present worker has answered; 0 if it does not yet."""
        return now - self._began if self.answering else 0.0

    # --- while a worker answers -------------------------------------------------------------

    @property
    def watch(self) -> Watch:
        """What was heard of the present worker."""
        assert self._watch is not None
        return self._watch

    def end_what_is_over(self) -> None:
        """The worker does not hang: end what is over in its hands, and it does not know."""
        self._stand_in.end(time.monotonic())

    def ask(self, worker: WorkerProcess, now: float) -> float:
        """Ask it what waits, if it is time; gives the seconds after which it is again."""
        if self.watch.asks(now):
            worker.send(Ping())
        return self.watch.next(now)

    # --- between two ------------------------------------------------------------------------

    def leave(self, now: float) -> None:
        """The worker is told to read no more."""
        self._gone_at = now
        self._stand_in.alone(now)

    def left(self) -> Watch:
        """It reads no more; gives what was heard of it."""
        watch = self.watch
        self.answering, self._watch = False, None
        return watch

    def died(self, now: float) -> None:
        """The worker has died."""
        served, watch = self.served(now), self.watch
        self.answering, self._watch, self._gone_at = False, None, self._gone_at or now
        if self.lasts:
            self._stand_in.died(now, young=served <= SHORT_LIFE, since=watch.since)

    def look(self, now: float) -> None:
        """There is no worker: see to the requests that wait, if it is time."""
        if now >= self._look_at:
            self._stand_in.look(now)
            self._look_at = now + LOOK_EVERY

    def lost(self, now: float, retired: Watch, worker: WorkerProcess | None) -> None:
        """A worker that was replaced has died before it had answered all; `worker` is the present
        one. It must not read now: what it got before it was counted would have a new deadline."""
        present = self._watch

        def since(request: RawRequest) -> float:
            return min(retired.since(request), present.since(request) if present else now)

        with worker.standing_still() if worker else nullcontext():
            self._stand_in.lost(now, since)
