"""This member's work on the loads: a worker for each, its progress, and what is done for all."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import structlog

from meshcache.agent.loads.book import Book
from meshcache.agent.loads.outlook import GONE_AFTER, Outlook
from meshcache.agent.loads.phase import Present, Run, verdict
from meshcache.agent.loads.reaper import Reaper
from meshcache.agent.loads.record import End, Load, Progress, Report
from meshcache.agent.loads.reporting import Reporting
from meshcache.agent.loads.schedule import next_due
from meshcache.agent.loads.worker import Aim, Worker
from meshcache.agent.mesh import MeshView
from meshcache.gossip import NotRunning
from meshcache.tasks import TaskSet

log = structlog.get_logger()

TURN_PAUSE = 0.05
"""Seconds in which what happens is seen together."""

MAX_RUNNING = 8
"""Loads that a member works on at a time, the oldest first: what it says of them is one entry of
the map. Those that it is done with and others are not count as well."""

IDLE = 3600.0
"""Seconds until a turn for no reason."""

Hire = Callable[[Aim, int, Callable[[], float], Callable[[], None]], Worker]
"""Makes a worker of (aim, number of the run, rate, what to call when its share is done)."""


class _Running(NamedTuple):
    worker: Worker
    task: "asyncio.Task[None]"


class Following:
    """Follows the records of the loads."""

    def __init__(
        self,
        book: Book,
        outlook: Outlook,
        mesh: MeshView,
        tasks: TaskSet,
        hire: Hire,
        *,
        member: str,
        now: Callable[[], float],
    ) -> None:
        """`member` is this agent's name."""
        self._book = book
        self._outlook = outlook
        self._mesh = mesh
        self._tasks = tasks
        self._hire = hire
        self._member = member
        self._now = now
        self._reaper = Reaper(book, mesh)
        self._wake = asyncio.Event()
        self._running: dict[str, _Running] = {}
        """Load's uid -> what works on it here."""
        self._sharing: dict[str, int] = {}
        """Load's uid -> members that share its rate."""
        self._done: dict[str, Progress] = {}
        """Load's uid -> this member's last word on a run that is over."""
        self._reporting = Reporting(lambda progress: book.write(mesh.me, Report(member, progress)))

    @property
    def running(self) -> int:
        """Loads whose shares this member is working on."""
        return sum(not running.worker.progress.ended for running in self._running.values())

    def wake(self) -> None:
        """Something happened: look again soon."""
        self._wake.set()

    def reports(self) -> dict[str, Report]:
        """What the members say, by store id; this one as it is now."""
        own = Report(self._member, tuple(self._own()))
        return {**self._book.reports(), self._mesh.me: own}

    async def follow(self) -> None:
        """Work on this member's shares until cancelled, or until the member leaves."""
        try:
            while True:
                self._wake.clear()
                until = self._turn()
                try:
                    async with asyncio.timeout(max(0.0, until - self._now())):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                await asyncio.sleep(TURN_PAUSE)
        except NotRunning:
            pass

    def _turn(self) -> float:
        """See to all loads once; when to do so again if nothing happens, seconds since 1970."""
        now = self._now()
        loads = self._book.loads()
        reports = self.reports()
        present = self._outlook.present()
        until = now + IDLE
        for load in sorted(loads.values(), key=lambda load: (load.created, load.uid)):
            if load.end is not None and load.policy != "Cron":
                self._stop(load.uid)
                continue
            run = self._outlook.run(load, reports, now)
            subject, dataset = self._outlook.subject(load)
            end = verdict(load, run, reports, present, subject, now)
            works = not end.ended and not run.waits and self._mesh.me in present.targets(load)
            room = load.uid in self._running or len(self._running) < MAX_RUNNING
            if works and room and dataset is not None and subject.snapshot:
                aim = Aim(load, present, subject, dataset, self._mesh.placement)
                self._ensure(aim, run.number)
                self._sharing[load.uid] = _sharing(load, run, reports, present)
            else:
                self._stop(load.uid)
            if self._mesh.first(load.uid):
                self._write_down(load, run, end)
            if load.schedule and not load.cancelled:
                until = min(until, next_due(load.schedule, now))
            if self._outlook.awaits_dataset(load):
                until = min(until, now + GONE_AFTER)
        for uid in self._running.keys() - {load.uid for load in loads.values()}:
            self._stop(uid)
        until = min(until, self._reaper.reap(now))
        return min(until, self._report(loads, now))

    def _write_down(self, load: Load, run: Run, end: End) -> None:
        """What the load's first member by rank writes into the record, for all."""
        released = run.started if load.run_after and not run.waits else 0.0
        over = end.ended and end != load.end

        def changed(there: Load) -> Load:
            if released and not there.released:
                there = msgspec.structs.replace(there, released=released)
            if over:
                succeeded = end.ended if end.phase == "Complete" else there.succeeded
                there = msgspec.structs.replace(there, end=end, succeeded=succeeded)
            return there

        if over:
            log.info("load ended", load=load.name, phase=end.phase, problem=end.message)
        self._book.change(load, changed)

    def _ensure(self, aim: Aim, run: int) -> None:
        uid = aim.load.uid
        running = self._running.get(uid)
        if running is not None and running.worker.run == run:
            running.worker.renew(aim)
            return
        self._stop(uid)
        worker = self._hire(
            aim,
            run,
            lambda: aim.load.rate / max(1, self._sharing.get(uid, 1)),
            self._wake.set,
        )
        task = self._tasks.start(worker.work(), name=f"load {aim.load.name}")
        self._running[uid] = _Running(worker, task)

    def _stop(self, uid: str) -> None:
        self._sharing.pop(uid, None)
        running = self._running.pop(uid, None)
        if running is not None:
            running.task.cancel()
            self._done[uid] = running.worker.progress

    def _report(self, loads: Mapping[str, Load], now: float) -> float:
        """Write this member's progress, if it is time; when to do so again."""
        there = {load.uid for load in loads.values()}
        self._done = {uid: done for uid, done in self._done.items() if uid in there}
        return self._reporting.report(self._own(), len(self._mesh.by_store), now)

    def _own(self) -> list[Progress]:
        """This member's progress, of what is under way last."""
        done = [one for uid, one in self._done.items() if uid not in self._running]
        return done + [running.worker.progress for running in self._running.values()]


def _sharing(load: Load, run: Run, reports: Mapping[str, Report], present: Present) -> int:
    """How many targets still fetch."""
    ended = {
        store
        for store, report in reports.items()
        for one in report.loads
        if (one.uid, one.run) == (load.uid, run.number) and one.ended
    }
    return len(present.targets(load) - ended)
