"""The workers of one mount: one that answers the kernel, and a spare that is ready to.

When the worker dies, the spare (`meshcache.fuse.spares`) is given the snapshots that were shown,
the door and the device, and the kernel puts back what the dead one had read
(`meshcache.fuse.kernel`). So whoever reads waits a moment, and sees nothing of it.

For an upgrade the spare is one of the new program. It gets a door of its own; the worker reads no
more requests, the new one begins to, and the old one ends when it has answered what it had read.
"""

import os
import socket
import time
from collections.abc import Callable

import structlog

from meshcache.errors import EnvironmentUnfit
from meshcache.fuse.agentline import AgentLine
from meshcache.fuse.handshake import raise_limits
from meshcache.fuse.kernel import Kernel
from meshcache.fuse.messages import (
    Answering,
    DoorLost,
    Drain,
    Drained,
    FromWorker,
    Go,
    Left,
    Ping,
    Report,
    Serve,
    Show,
    Told,
)
from meshcache.fuse.poll import Poll
from meshcache.fuse.process import WorkerProcess
from meshcache.fuse.restarts import SHORT_LIFE, Restarts
from meshcache.fuse.retiring import Retiring
from meshcache.fuse.shown import Shown
from meshcache.fuse.spares import START, Spares
from meshcache.fuse.standin import StandIn
from meshcache.fuse.upgrade import LIMIT, Upgrade
from meshcache.fuse.watch import Watch

log = structlog.get_logger("meshcache.fuse.keeper")

LOOK_EVERY = 0.5
"""Seconds between two looks at the requests that wait while there is no worker."""


class MountLost(Exception):
    """The mount cannot go on: its worker has died, and this mount cannot outlive one."""


class Crew:
    """One mount's workers."""

    def __init__(self, poll: Poll, terms: Serve, on_door_wanted: Callable[[], None]) -> None:
        """Start the first worker; `poll` is what its owner waits with.

        `on_door_wanted` is called when a door is to be brought: the present one has closed, or a
        new worker needs one of its own.
        """
        self.shown = Shown()
        self._poll = poll
        self._terms = terms
        self._on_door_wanted = on_door_wanted
        self._restarts = Restarts()
        self._watch = Watch(terms.deadline)
        self._spares = Spares(poll, terms, on_message=self._hear, on_failed=self._upgrade_failed)
        self._kernel: Kernel | None = None
        self._stand_in: StandIn | None = None
        self._lasts = True
        self._line = AgentLine()
        self._worker: WorkerProcess | None = self._spares.fork()
        self._successor: WorkerProcess | None = None
        self._retiring = Retiring(terms.deadline)
        self._upgrade = Upgrade()
        self._not_before = 0.0
        self._look_at = 0.0
        self._served_since = 0.0
        self._gone_at: float | None = None
        self._pause = 0.0
        self.answering = False
        """Whether a worker answers the kernel at this moment."""

    @property
    def alive(self) -> bool:
        """Whether there is a worker that answers or could."""
        return self._worker is not None

    @property
    def spares(self) -> Spares:
        """Where the next workers come from."""
        return self._spares

    # --- the agent --------------------------------------------------------------------------

    def use_door(self, door: socket.socket) -> None:
        """Take over a new door to the agent."""
        self._line.use(door)
        if worker := self._successor or self._worker:
            if self._upgrade.wants_door and self._spares.ready and worker is self._worker:
                self._hand_over(worker)
            else:
                self._line.give(worker)
        self._report()

    def _report(self) -> None:
        worker = self._worker if self.answering else None
        self._line.tell(
            Report(
                state="slowed" if self._restarts.looping else "serving" if worker else "replacing",
                worker=worker.pid if worker else 0,
                restarts=self._restarts.deaths,
                pause=self._pause,
                version=worker.version if worker else "",
                upgrades=self._upgrade.done,
                failed=self._upgrade.failed,
                problem=self._upgrade.problem,
            )
        )

    # --- the first worker -------------------------------------------------------------------

    def begin(self, kernel: Kernel) -> None:
        """Have the first worker answer a mount that nobody has answered yet.

        Raises:
            EnvironmentUnfit: it cannot, or has died.
        """
        self._kernel = kernel
        self._stand_in = StandIn(
            kernel, deadline=self._terms.deadline, too_late=self._terms.too_late
        )
        worker = self._worker
        if worker is None:
            raise EnvironmentUnfit("the mount's worker ended before it was ready")
        worker.introduce(kernel.init, self._terms).settimeout(START)
        accepted = worker.first_answer()
        kernel.answer_init(raise_limits(accepted))
        self._spares.begin(kernel, accepted)
        self._go(worker)

    # --- later ones -------------------------------------------------------------------------

    def tend(self) -> float:
        """See to it that somebody answers; gives the seconds after which to do so again at the
        latest. To be called when anything has happened, once the mount answers.

        Raises:
            MountLost: nobody ever will.
        """
        now = time.monotonic()
        may_begin = now >= self._not_before
        if self._worker is None and self._spares.ready and may_begin:
            self._take_over()
        if may_begin and (self.answering or self._worker is None):
            self._spares.make(now)
        self._spares.check(now)
        self._tend_upgrade(now)
        self._retiring.check(now)
        if self._worker is not None:
            return self._tend_worker(self._worker, now)
        if now >= self._look_at and self._stand_in is not None:
            self._stand_in.look(now, since=self._gone_at or now)
            self._look_at = now + LOOK_EVERY
        return LOOK_EVERY if may_begin else min(LOOK_EVERY, self._not_before - now)

    def _tend_worker(self, worker: WorkerProcess, now: float) -> float:
        if self.answering and self._restarts.looping and now - self._served_since > SHORT_LIFE:
            self._restarts.sound()
            log.warning("event", type="Normal", reason="MountWorkerRecovered", note="it serves")
            self._report()
        if self._watch.hangs(now):
            log.error("a worker hangs: another takes over", pid=worker.pid)
            worker.kill()
            self._ended(worker)
            return 0.0
        if self._watch.is_due(now):
            worker.send(Ping())
        return self._watch.every

    def _take_over(self) -> None:
        worker = self._worker = self._spares.take()
        self._prepare(worker)
        self._upgraded()
        self._go(worker)

    def _prepare(self, worker: WorkerProcess) -> None:
        for show, file in self.shown:
            worker.send(show, [file])
        self._line.give(worker)

    def _go(self, worker: WorkerProcess) -> None:
        assert self._kernel is not None
        self._served_since = time.monotonic()
        self._watch.begin(self._served_since)
        try:
            device = self._kernel.open_for_worker()
        except OSError as error:
            log.warning("this mount will not outlive its worker", why=str(error))
            self._lasts = False
            device = os.dup(self._kernel.device)
        worker.send(Go(), [device])
        os.close(device)

    # --- another version --------------------------------------------------------------------

    def upgrade(self) -> None:
        """Replace the worker by one of the program as it is installed now, as soon as it may be. If
        that fails, the worker stays; the report says why."""
        self._upgrade.ask()

    def _tend_upgrade(self, now: float) -> None:
        if not self._upgrade.under_way:
            # One after the other: the worker that was replaced last has to end first.
            may_begin = self.answering and not self._spares.is_renewed
            if may_begin and self._upgrade.begins(now):
                self._spares.renew()
        elif self._upgrade.is_late(now):
            self._upgrade_failed(f"it was not ready within {LIMIT:g} s")
        elif self._spares.ready and not self._upgrade.wants_door:
            self._upgrade.wants_door = True
            self._on_door_wanted()

    def _upgrade_failed(self, why: str) -> None:
        if self._upgrade.under_way:
            log.error("the worker is not replaced by a newer one", why=why)
            self._upgrade.fail(why)
            self._spares.go_back()
            self._report()

    def _hand_over(self, worker: WorkerProcess) -> None:
        self._successor = self._spares.take()
        self._prepare(self._successor)
        self._gone_at = time.monotonic()
        worker.send(Drain())

    def _drained(self, worker: WorkerProcess) -> None:
        self._retiring.add(worker, time.monotonic())
        self._worker, self.answering = None, False
        self._succeed()

    def _succeed(self) -> None:
        """There is no worker any more: if there is a successor, its time has come."""
        if self._successor is not None:
            self._worker, self._successor = self._successor, None
            self._upgraded()
            self._go(self._worker)

    def _upgraded(self) -> None:
        if self._upgrade.under_way:
            self._upgrade.succeed()
            if not self._retiring:
                self._spares.forget_former()

    def _retired(self, worker: WorkerProcess) -> None:
        self._retiring.remove(worker)
        if not worker.left and self._kernel is not None:
            self._kernel.resend()  # it died before it had answered all
        if not self._retiring:
            self._spares.forget_former()

    # --- what they say ----------------------------------------------------------------------

    def _hear(self, worker: WorkerProcess) -> None:
        try:
            heard = worker.receive()
        except ValueError as error:
            # It may be of a newer version; what this one has to know, both know.
            log.warning("a worker said something unknown", pid=worker.pid, error=str(error))
            return
        if heard is None:
            self._ended(worker)
        else:
            self._understand(worker, *heard)

    def _understand(
        self, worker: WorkerProcess, message: FromWorker, files: tuple[int, ...]
    ) -> None:
        if worker is self._worker:
            self._watch.heard()
        match message:
            case Show():
                self.shown.add(message, files[0])
            case Told(snapshot=snapshot):
                self.shown.told(snapshot)
            case DoorLost() if worker is (self._successor or self._worker):
                self._line.close()
                self._on_door_wanted()
            case Answering() if worker is self._worker:
                self._answers(worker)
            case Drained() if worker is self._worker:
                self._drained(worker)
            case Left():
                worker.left = True

    def _answers(self, worker: WorkerProcess) -> None:
        self.answering = True
        if self._gone_at is not None:
            self._pause = round(time.monotonic() - self._gone_at, 4)
            self._gone_at = None
            log.warning("another worker answers", pid=worker.pid, after=self._pause)
        self._report()

    def _ended(self, worker: WorkerProcess) -> None:
        self._poll.drop(worker.control)
        if worker.first is not None:
            self._poll.drop(worker.first)
        worker.close()
        if self._kernel is not None and self._kernel.ended:
            return  # as it should be: the mount has ended
        if worker in self._retiring:
            self._retired(worker)
        else:
            self._died(worker)

    def _died(self, worker: WorkerProcess) -> None:
        now = time.monotonic()
        was_looping = self._restarts.looping
        served = now - self._served_since if worker is self._worker and self.answering else 0.0
        self._not_before = now + self._restarts.died(served)
        log.error("a worker died", pid=worker.pid, served=round(served, 3))
        if worker is self._worker:
            self._gone_at = self._gone_at or now
            self._worker, self.answering = None, False
            if not self._lasts:
                raise MountLost
            if self._stand_in is not None:
                self._stand_in.died(now, young=served <= SHORT_LIFE)
            self._succeed()
        elif worker is self._successor:
            self._successor = None
            self._upgrade_failed("it died before it took over")
        else:
            self._spares.ended(worker)
        if self._restarts.looping and not was_looping:
            note = "workers die again and again: each new one waits longer"
            log.error("event", type="Warning", reason="MountWorkerCrashLoop", note=note)
        self._report()

    # --- the end ----------------------------------------------------------------------------

    def close(self, *, at_once: bool = False) -> None:
        """Leave nothing behind: no worker, no door, no snapshot. `at_once` where there is no mount
        yet: a process that still starts is not waited for."""
        self._line.close()
        for worker in (self._worker, self._successor):
            if worker is not None:
                worker.close()
        self._retiring.close()
        self._spares.close(at_once=at_once)
        self.shown.close()
