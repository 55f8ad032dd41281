"""The workers of one mount: one that answers the kernel, and a spare that is ready to.

A spare was forked from the template, has answered FUSE_INIT as the first worker did, and waits.
When the worker dies, the spare is given the snapshots that were shown, the door and the device, and
the kernel puts back what the dead one had read (`meshcache.fuse.kernel`); then the next spare is
made. So whoever reads waits a moment, and sees nothing of it.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable

import structlog

from meshcache.errors import EnvironmentUnfit
from meshcache.fuse.handshake import raise_limits
from meshcache.fuse.kernel import Kernel
from meshcache.fuse.messages import (
    Answering,
    DoorLost,
    FromWorker,
    Go,
    NewDoor,
    Ping,
    Report,
    Serve,
    Show,
    Told,
    encode,
)
from meshcache.fuse.poll import Poll
from meshcache.fuse.process import Template, WorkerProcess, how
from meshcache.fuse.restarts import SHORT_LIFE, Restarts
from meshcache.fuse.shown import Shown
from meshcache.fuse.standin import StandIn
from meshcache.fuse.watch import Watch

log = structlog.get_logger("meshcache.fuse.keeper")

START = 60.0
"""Seconds that a worker has from its start until it could answer."""

LOOK_EVERY = 0.5
"""Seconds between two looks at the requests that wait while there is no worker."""


class MountLost(Exception):
    """The mount cannot go on: its worker has died, and this mount cannot outlive one."""


class Crew:
    """One mount's workers."""

    def __init__(self, poll: Poll, terms: Serve, on_door_lost: Callable[[], None]) -> None:
        """Start the first worker; `poll` is what its owner waits with.

        `on_door_lost` is called when the door has closed, and another one is to be brought.
        """
        self.shown = Shown()
        self._poll = poll
        self._terms = terms
        self._on_door_lost = on_door_lost
        self._restarts = Restarts()
        self._watch = Watch(terms.deadline)
        self._kernel: Kernel | None = None
        self._stand_in: StandIn | None = None
        self._accepted = b""
        self._lasts = True
        self._door: socket.socket | None = None
        self._template = self._start_template()
        self._worker: WorkerProcess | None = self._fork()
        self._spare: WorkerProcess | None = None
        self.spare_ready = False
        """Whether another worker could take over at once."""
        self._spare_until = 0.0
        self._not_before = 0.0
        self._look_at = 0.0
        self._served_since = 0.0
        self._died_at: float | None = None
        self._pause = 0.0
        self.refused = 0
        """Workers whose answer to FUSE_INIT was another one than the kernel was told."""
        self.answering = False
        """Whether a worker answers the kernel at this moment."""

    @property
    def alive(self) -> bool:
        """Whether there is a worker that answers or could."""
        return self._worker is not None

    # --- the agent --------------------------------------------------------------------------

    def use_door(self, door: socket.socket) -> None:
        """Take over a new door to the agent."""
        self._close_door()
        self._door = door
        if self._worker is not None:
            self._worker.send(NewDoor(), [door.fileno()])
        self._report()

    def _close_door(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None

    def _report(self) -> None:
        """Tell the agent how it stands. It may be gone, or busy: this is worth no wait."""
        if self._door is None:
            return
        looping = self._restarts.looping
        report = Report(
            "slowed" if looping else "serving" if self.answering else "replacing",
            self._worker.pid if self._worker is not None and self.answering else 0,
            self._restarts.deaths,
            self._pause,
        )
        with contextlib.suppress(OSError):
            self._door.send(encode(report), socket.MSG_DONTWAIT)

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
        self._accepted = worker.first_answer()
        kernel.answer_init(raise_limits(self._accepted))
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
        if self._worker is None and self.spare_ready and may_begin:
            self._take_over()
        if self._spare is None and may_begin and (self.answering or self._worker is None):
            self._make_spare(now)
        if self._spare is not None and not self.spare_ready and now >= self._spare_until:
            log.error("a worker did not get ready", pid=self._spare.pid, within=START)
            self._spare.kill()
            if not self._spare.pid:
                self._template.kill()  # it does not even fork
            self._spare_until = now + START
        if self._worker is not None:
            return self._tend_worker(self._worker, now)
        if now >= self._look_at and self._stand_in is not None:
            self._stand_in.look(now, since=self._died_at or now)
            self._look_at = now + LOOK_EVERY
        return min(LOOK_EVERY, self._not_before - now) if not may_begin else LOOK_EVERY

    def _tend_worker(self, worker: WorkerProcess, now: float) -> float:
        if not self.answering:
            return self._watch.every
        if self._restarts.looping and now - self._served_since > SHORT_LIFE:
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

    def _start_template(self) -> Template:
        template = Template(self._report_end)
        self._poll.add(template.control, self._hear_template)
        return template

    def _hear_template(self) -> None:
        if not self._template.hear():
            self._poll.drop(self._template.control)
            log.error("the template of workers died", how=how(self._template.close()))
            self._not_before = time.monotonic() + self._restarts.died(0.0)
            self._template = self._start_template()

    def _fork(self) -> WorkerProcess:
        worker = self._template.fork()
        self._poll.add(worker.control, lambda: self._hear(worker))
        return worker

    def _make_spare(self, now: float) -> None:
        assert self._kernel is not None
        spare = self._spare = self._fork()
        self.spare_ready = False
        self._spare_until = now + START
        first = spare.introduce(self._kernel.init, self._terms)
        self._poll.add(first, lambda: self._compare(spare))

    def _compare(self, spare: WorkerProcess) -> None:
        assert spare.first is not None
        self._poll.drop(spare.first)
        try:
            answer = spare.first_answer()
        except EnvironmentUnfit as error:
            log.error("a worker is of no use", pid=spare.pid, why=str(error))
            spare.kill()
            return
        if answer != self._accepted:
            # The kernel was told something else, once and for all.
            log.error("a worker speaks another protocol than this mount: refused", pid=spare.pid)
            self.refused += 1
            spare.kill()
            return
        self.spare_ready = True

    def _take_over(self) -> None:
        worker = self._worker = self._spare
        self._spare, self.spare_ready = None, False
        assert worker is not None
        for show, file in self.shown:
            worker.send(show, [file])
        if self._door is not None:
            worker.send(NewDoor(), [self._door.fileno()])
        self._go(worker)

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

    # --- what they say ----------------------------------------------------------------------

    def _hear(self, worker: WorkerProcess) -> None:
        try:
            heard = worker.receive()
        except ValueError as error:
            log.error("a worker said something unusable", pid=worker.pid, error=str(error))
            worker.kill()
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
            case DoorLost() if worker is self._worker:
                self._close_door()
                self._on_door_lost()
            case Answering() if worker is self._worker:
                self._answers(worker)

    def _answers(self, worker: WorkerProcess) -> None:
        self.answering = True
        if self._died_at is not None:
            self._pause = round(time.monotonic() - self._died_at, 4)
            self._died_at = None
            log.warning("another worker answers", pid=worker.pid, after=self._pause)
        self._report()

    def _ended(self, worker: WorkerProcess) -> None:
        self._poll.drop(worker.control)
        if worker.first is not None:
            self._poll.drop(worker.first)
        worker.close()
        if self._kernel is not None and self._kernel.ended:
            return  # as it should be: the mount has ended
        now, served = time.monotonic(), 0.0
        was_serving = worker is self._worker
        if was_serving:
            served = now - self._served_since if self.answering else 0.0
            self._worker, self.answering = None, False
            self._died_at = self._died_at or now
        else:
            self._spare, self.spare_ready = None, False
        was_looping = self._restarts.looping
        self._not_before = now + self._restarts.died(served)
        log.error("a worker died", pid=worker.pid, served=round(served, 3))
        if was_serving and not self._lasts:
            raise MountLost
        if was_serving and self._stand_in is not None:
            self._stand_in.died(now, young=served <= SHORT_LIFE)
        if self._restarts.looping and not was_looping:
            note = "workers die again and again: each new one waits longer"
            log.error("event", type="Warning", reason="MountWorkerCrashLoop", note=note)
        self._report()

    @staticmethod
    def _report_end(pid: int, code: int) -> None:
        if code:
            log.error("a worker's process ended", pid=pid, how=how(code))

    # --- the end ----------------------------------------------------------------------------

    def close(self, *, at_once: bool = False) -> None:
        """Leave nothing behind: no worker, no door, no snapshot. `at_once` where there is no mount
        yet: a process that still starts is not waited for."""
        self._close_door()
        for worker in (self._worker, self._spare):
            if worker is not None:
                worker.close()
        self._template.close(at_once=at_once)
        self.shown.close()
