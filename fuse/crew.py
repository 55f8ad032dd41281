"""The workers of one mount: one that answers the kernel, and a spare that is ready to.

A spare was forked from the template, has answered FUSE_INIT as the first worker did, and waits.
When the worker dies, the spare is given the snapshots that were shown, the door and the device, and
the kernel puts back what the dead one had read (`meshcache.fuse.kernel`); then the next spare is
made. So whoever reads waits a moment, and sees nothing of it.
"""

import os
import socket
import time
from collections.abc import Callable

import structlog

from meshcache.errors import EnvironmentUnfit
from meshcache.fuse.handshake import raise_limits
from meshcache.fuse.kernel import Kernel
from meshcache.fuse.messages import Answering, DoorLost, FromWorker, Go, NewDoor, Show, Told
from meshcache.fuse.poll import Poll
from meshcache.fuse.process import Template, WorkerProcess, how
from meshcache.fuse.restarts import Restarts
from meshcache.fuse.shown import Shown

log = structlog.get_logger("meshcache.fuse.keeper")

START = 60.0
"""Seconds that a worker has from its start until it could answer."""


class Crew:
    """One mount's workers."""

    def __init__(self, poll: Poll, on_door_lost: Callable[[], None]) -> None:
        """Start the first worker; `poll` is what its owner waits with.

        `on_door_lost` is called when the door has closed, and another one is to be brought.
        """
        self.shown = Shown()
        self._poll = poll
        self._on_door_lost = on_door_lost
        self._restarts = Restarts()
        self._kernel: Kernel | None = None
        self._accepted = b""
        self._door: socket.socket | None = None
        self._template = self._start_template()
        self._worker: WorkerProcess | None = self._fork()
        self._spare: WorkerProcess | None = None
        self.spare_ready = False
        """Whether another worker could take over at once."""
        self._spare_until = 0.0
        self._not_before = 0.0
        self._served_since = 0.0
        self._died_at: float | None = None
        self.refused = 0
        """Workers whose answer to FUSE_INIT was another one than the kernel was told."""
        self.answering = False
        """Whether a worker answers the kernel at this moment."""

    def use_door(self, door: socket.socket) -> None:
        """Take over a new door to the agent."""
        self._close_door()
        self._door = door
        if self._worker is not None:
            self._worker.send(NewDoor(), [door.fileno()])

    def _close_door(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None

    # --- the first worker -------------------------------------------------------------------

    def begin(self, kernel: Kernel) -> None:
        """Have the first worker answer a mount that nobody has answered yet.

        Raises:
            EnvironmentUnfit: it cannot, or has died.
        """
        self._kernel = kernel
        worker = self._worker
        if worker is None:
            raise EnvironmentUnfit("the mount's worker ended before it was ready")
        worker.introduce(kernel.init, uid=os.getuid(), gid=os.getgid()).settimeout(START)
        self._accepted = worker.first_answer()
        kernel.answer_init(raise_limits(self._accepted))
        self._go(worker)

    # --- later ones -------------------------------------------------------------------------

    def supply(self) -> float | None:
        """Start what is missing, as far as it is time to; gives the seconds until there may be
        more to do, or None. To be called when anything has happened, once the mount answers."""
        now = time.monotonic()
        if now < self._not_before:
            return self._not_before - now
        if self._worker is None and self._spare is not None and self.spare_ready:
            self._take_over()
        if self._spare is None and (self.answering or self._worker is None):
            self._make_spare()
        if self._spare is None or self.spare_ready:
            return None
        if now >= self._spare_until:
            log.error("a worker did not get ready", pid=self._spare.pid, within=START)
            self._spare.kill()
            return None
        return self._spare_until - now

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

    def _make_spare(self) -> None:
        assert self._kernel is not None
        spare = self._spare = self._fork()
        self.spare_ready = False
        self._spare_until = time.monotonic() + START
        first = spare.introduce(self._kernel.init, uid=os.getuid(), gid=os.getgid())
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
        assert self._kernel is not None
        for show, file in self.shown:
            worker.send(show, [file])
        if self._door is not None:
            worker.send(NewDoor(), [self._door.fileno()])
        self._kernel.resend()
        self._go(worker)

    def _go(self, worker: WorkerProcess) -> None:
        assert self._kernel is not None
        self._served_since = time.monotonic()
        device = self._kernel.open_for_worker()
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
        match message:
            case Show():
                self.shown.add(message, files[0])
            case Told(snapshot=snapshot):
                self.shown.told(snapshot)
            case DoorLost() if worker is self._worker:
                self._close_door()
                self._on_door_lost()
            case Answering() if worker is self._worker:
                self.answering = True
                if self._died_at is not None:
                    pause = time.monotonic() - self._died_at
                    log.warning("another worker answers", pid=worker.pid, after=round(pause, 3))
                    self._died_at = None

    def _ended(self, worker: WorkerProcess) -> None:
        self._poll.drop(worker.control)
        if worker.first is not None:
            self._poll.drop(worker.first)
        worker.close()
        if self._kernel is not None and self._kernel.ended:
            return  # as it should be: the mount has ended
        now, served = time.monotonic(), 0.0
        if worker is self._worker:
            served = now - self._served_since if self.answering else 0.0
            self._worker, self.answering = None, False
            if self._died_at is None:
                self._died_at = now
        else:
            self._spare, self.spare_ready = None, False
        self._not_before = now + self._restarts.died(served)
        log.error("a worker died", pid=worker.pid, served=round(served, 3))

    @staticmethod
    def _report_end(pid: int, code: int) -> None:
        if code:
            log.error("a worker's process ended", pid=pid, how=how(code))

    @property
    def alive(self) -> bool:
        """Whether there is a worker that answers or could."""
        return self._worker is not None

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
