"""The workers of one mount: one that answers the kernel, and a spare that is ready to.

When the worker dies, the spare (`meshcache.fuse.spares`) is given the snapshots that were shown,
the door and the device, and the kernel puts back what the dead one had read
(`meshcache.fuse.service`). So whoever reads waits a moment, and sees nothing of it.

For an upgrade the spare is one of the new program. It gets a door of its own; the worker reads no
more requests, the new one begins to, and the old one ends when it has answered what it had read.
"""

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
    Left,
    Pong,
    Report,
    Serve,
    Show,
    Told,
)
from meshcache.fuse.poll import Poll
from meshcache.fuse.process import WorkerProcess
from meshcache.fuse.restarts import Restarts
from meshcache.fuse.retiring import Retiring
from meshcache.fuse.service import LOOK_EVERY, Service
from meshcache.fuse.shown import Shown
from meshcache.fuse.spares import START, Spares
from meshcache.fuse.upgrade import Upgrade
from meshcache.fuse.watch import Watch

log = structlog.get_logger("meshcache.fuse.keeper")


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
        self.spares = Spares(
            poll, terms, on_message=self._hear, on_failed=lambda why: self._upgrade.fail(why)
        )
        """Where the next workers come from."""
        self._upgrade = Upgrade(self.spares, on_door_wanted, self._report)
        self._service: Service | None = None
        self._line = AgentLine()
        self._worker: WorkerProcess | None = self.spares.fork()
        self._successor: WorkerProcess | None = None
        self._retiring = Retiring(terms.deadline)
        self._not_before = 0.0

    @property
    def answering(self) -> bool:
        """Whether a worker answers the kernel at this moment."""
        return self._service is not None and self._service.answering

    @property
    def alive(self) -> bool:
        """Whether there is a worker that answers or could."""
        return self._worker is not None

    # --- the agent --------------------------------------------------------------------------

    def use_door(self, door: socket.socket) -> None:
        """Take over a new door to the agent."""
        self._line.use(door)
        worker, service = self._successor or self._worker, self._service
        if worker is not None:
            if self._upgrade.is_ready and worker is self._worker and service is not None:
                self._hand_over(worker, service)
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
                pause=self._service.pause if self._service else 0.0,
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
        worker = self._worker
        if worker is None:
            raise EnvironmentUnfit("the mount's worker ended before it was ready")
        worker.introduce(kernel.init, self._terms).settimeout(START)
        accepted = worker.first_answer()
        kernel.answer_init(raise_limits(accepted))
        self.spares.begin(kernel, accepted)
        self._service = Service(kernel, self._terms)
        self._service.begin(worker)

    # --- later ones -------------------------------------------------------------------------

    def tend(self) -> float:
        """See to it that somebody answers; gives the seconds after which to do so again at the
        latest. To be called when anything has happened, once the mount answers.

        Raises:
            MountLost: nobody ever will.
        """
        assert self._service is not None
        now = time.monotonic()
        may_begin = now >= self._not_before
        if self._worker is None and self.spares.ready and may_begin:
            self._begin(self._prepared())
        if may_begin and (self.answering or self._worker is None):
            self.spares.make(now)
        self.spares.check(now)
        self._upgrade.tend(now, may_begin=self.answering)
        for worker in self._retiring.tend(now):
            self._end(worker)
        if self._worker is None:
            self._service.look(now)
            wait = LOOK_EVERY if may_begin else min(LOOK_EVERY, self._not_before - now)
        else:
            wait = self._tend_worker(self._worker, self._service, now)
        return min(wait, self._retiring.next(now))

    def _tend_worker(self, worker: WorkerProcess, service: Service, now: float) -> float:
        if self._restarts.lives(service.served(now)):
            self._report()
        if service.watch.hangs(now):
            log.error("a worker hangs: another takes over", pid=worker.pid)
            self._end(worker)
            return 0.0
        return service.ask(worker, now)

    def _end(self, worker: WorkerProcess) -> None:
        worker.kill()
        self._ended(worker)

    def _prepared(self) -> WorkerProcess:
        worker = self.spares.take()
        for show, file in self.shown:
            worker.send(show, [file])
        self._line.give(worker)
        return worker

    def _begin(self, worker: WorkerProcess) -> None:
        """It is prepared: it answers from now on."""
        assert self._service is not None
        self._worker = worker
        self._upgrade.taken_over()
        self._forget_former()
        self._service.begin(worker)

    # --- another version --------------------------------------------------------------------

    def upgrade(self) -> None:
        """Replace the worker by one of the program as it is installed now, as soon as it may be. If
        that fails, the worker stays; the report says why."""
        self._upgrade.ask()

    def _hand_over(self, worker: WorkerProcess, service: Service) -> None:
        self._successor = self._prepared()
        service.leave(time.monotonic())
        worker.send(Drain())

    def _drained(self, worker: WorkerProcess, service: Service) -> None:
        self._retiring.add(worker, service.left(), time.monotonic())
        self._worker = None
        self._succeed()

    def _succeed(self) -> None:
        """There is no worker any more: if there is a successor, its time has come."""
        if self._successor is not None:
            worker, self._successor = self._successor, None
            self._begin(worker)

    def _retired(self, worker: WorkerProcess, watch: Watch) -> None:
        self._retiring.remove(worker)
        if not worker.left and self._service is not None:
            self._service.lost(time.monotonic(), watch, self._worker)
        self._forget_former()

    def _forget_former(self) -> None:
        """The template of workers that were replaced is needed as long as there are any."""
        if not self._retiring:
            self.spares.forget_former()

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
        watch, service = self._watch_of(worker), self._service
        if watch is not None:
            watch.heard()
        match message:
            case Show():
                self.shown.add(message, files[0])
            case Told(snapshot=snapshot):
                self.shown.told(snapshot)
            case DoorLost() if worker is (self._successor or self._worker):
                self._line.close()
                self._on_door_wanted()
            case Pong(waiting=waiting, unlisted=unlisted) if watch is not None:
                watch.told(time.monotonic(), waiting, unlisted)
                if worker is self._worker and service is not None:
                    service.end_what_is_over()
            case Answering() if worker is self._worker and service is not None:
                service.answers(worker)
                self._report()
            case Drained(waiting=waiting, unlisted=unlisted) if (
                worker is self._worker and service is not None
            ):
                service.watch.told(time.monotonic(), waiting, unlisted)
                self._drained(worker, service)
            case Left():
                worker.left = True

    def _watch_of(self, worker: WorkerProcess) -> Watch | None:
        if worker is self._worker:
            return self._service.watch if self._service else None
        return self._retiring.watch(worker)

    def _ended(self, worker: WorkerProcess) -> None:
        self._poll.drop(worker.control)
        if worker.first is not None:
            self._poll.drop(worker.first)
        worker.close()
        if self._service is not None and self._service.ended:
            return  # as it should be: the mount has ended
        if (watch := self._retiring.watch(worker)) is not None:
            self._retired(worker, watch)
        else:
            self._died(worker)

    def _died(self, worker: WorkerProcess) -> None:
        now = time.monotonic()
        service = self._service if worker is self._worker else None
        served = service.served(now) if service else 0.0
        self._not_before = now + self._restarts.died(served)
        log.error("a worker died", pid=worker.pid, served=round(served, 3))
        if worker is self._worker:
            self._worker = None
            if service is not None:
                service.died(now)
                if not service.lasts:
                    raise MountLost
            self._succeed()
        elif worker is self._successor:
            self._successor = None
            self._upgrade.fail("it died before it took over")
        else:
            self.spares.ended(worker)
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
        self.spares.close(at_once=at_once)
        self.shown.close()
