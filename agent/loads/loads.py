"""The loads of the mesh, as one member sees them and works on them.

There is no coordinator. A load is a record that every member knows. Each target follows it: it
works on its own share, says how far it is, and computes its share anew when the membership changes.
How the load is, is computed by whoever looks (`phase`). What needs to be done once (writing down
how it ended, reaping it) is done by the first member by rank for the load, and does no harm if two
do it while their views differ.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import structlog

from meshcache.agent.catalog import DATASETS, HEADS, Catalog
from meshcache.agent.loads.book import Book
from meshcache.agent.loads.fetch import CONCURRENCY, Means
from meshcache.agent.loads.lists import Lists
from meshcache.agent.loads.phase import (
    Present,
    Run,
    Status,
    Subject,
    look,
    run_of,
    verdict,
)
from meshcache.agent.loads.reaper import Reaper
from meshcache.agent.loads.record import LOADS, PROGRESS, End, Load, Progress, Report
from meshcache.agent.loads.schedule import check_schedule, next_due
from meshcache.agent.loads.selection import Selected, Selection, select
from meshcache.agent.loads.spec import NewLoad
from meshcache.agent.loads.survey import Check, Plan, Survey
from meshcache.agent.loads.wish import wish_of
from meshcache.agent.loads.worker import Aim, Worker
from meshcache.agent.mesh import MeshView
from meshcache.agent.peers import PeerClient
from meshcache.agent.snapshots import OpenSnapshot, Snapshots
from meshcache.dataset import Dataset
from meshcache.errors import DatasetNotFound, InvalidInput
from meshcache.gossip import Event, Gossip, MapChanged, NotRunning
from meshcache.reader import Reader
from meshcache.store import Store
from meshcache.tasks import TaskSet

log = structlog.get_logger()

TURN_PAUSE = 0.05
"""Seconds in which what happens is seen together."""

GONE_AFTER = 3.0
"""Seconds without a dataset's record after which it counts as deleted: a member that has just
joined may know a load a moment before it knows the load's dataset."""

MAX_RUNNING = 8
"""Loads that a member works on at a time, the oldest first: what it says of them is one entry of
the map. Those that it is done with and others are not count as well."""

IDLE = 3600.0
"""Seconds until a turn for no reason."""


class _Running(NamedTuple):
    worker: Worker
    task: "asyncio.Task[None]"


class _Draft(NamedTuple):
    """A load that is not written down, and what it is about."""

    load: Load
    dataset: Dataset
    opened: OpenSnapshot
    selected: Selected


class Loads:
    """All loads, and this member's work on them."""

    def __init__(
        self,
        catalog: Catalog,
        snapshots: Snapshots,
        store: Store,
        reader: Reader,
        mesh: MeshView,
        client: PeerClient,
        gossip: Gossip,
        tasks: TaskSet,
        *,
        member: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`member` is this agent's name. Nothing is worked on before `follow`."""
        self._catalog = catalog
        self._snapshots = snapshots
        self._mesh = mesh
        self._tasks = tasks
        self._member = member
        self._now = now
        self._lists = Lists(store, reader, mesh)
        self._means = Means(store, reader, asyncio.Semaphore(CONCURRENCY), now)
        self._book = Book(gossip.map)
        self._survey = Survey(store, mesh, client)
        self._reaper = Reaper(self._book, mesh)
        self._wake = asyncio.Event()
        self._running: dict[str, _Running] = {}
        """Load's uid -> what works on it here."""
        self._sharing: dict[str, int] = {}
        """Load's uid -> members that share its rate."""
        self._done: dict[str, Progress] = {}
        """Load's uid -> this member's last word on a run that is over."""
        self._reported = 0.0
        self._reported_ended = 0
        self._missing: dict[str, float] = {}
        """Load's uid -> since when its dataset is missing."""

    # --- asking -----------------------------------------------------------------------------

    def all(self) -> list[Status]:
        """All loads, the oldest first, without their members."""
        found = [self._look(load) for load in self._book.loads().values()]
        for status in found:
            status.members = []
        return sorted(found, key=lambda status: (status.created, status.name))

    def get(self, name: str) -> Status:
        """One load, with each member's part.

        Raises:
            NotFound: there is none of that name.
        """
        return self._look(self._book.load(name))

    async def wish(self, name: str) -> NewLoad:
        """A load as it was asked for.

        Raises:
            NotFound: there is none of that name.
            OriginUnreachable, ChecksumMismatch: its list of files is not to be had.
        """
        load = self._book.load(name)
        selection, held = await self._lists.open(load.dataset, load.selection)
        if held is not None:
            held.release()
        return wish_of(load, selection)

    @property
    def running(self) -> int:
        """Loads that this member works on now."""
        return sum(not running.worker.progress.ended for running in self._running.values())

    def _look(self, load: Load) -> Status:
        reports, now = self._reports(), self._now()
        run = self._run(load, reports, now)
        return look(load, run, reports, self._present(), self._subject(load)[0], now)

    # --- starting and ending ----------------------------------------------------------------

    async def start(self, new: NewLoad) -> Status | Plan:
        """Begin a load: every target sees its record, and begins. With `dry_run`, only say what
        it would do.

        Raises:
            InvalidInput: a pattern, schedule, zone or member cannot be; nothing was begun.
            DatasetNotFound, PathNotFound: nothing was begun.
            LoadExists: there is one of that name.
            OriginError: the dataset had to be listed, and could not be.
        """
        draft = await self._draft(new)
        if new.dry_run:
            with draft.opened.held.share():
                return await self._survey.plan(*draft, self._present())
        kept = await self._lists.keep(draft.dataset.name, Selection.of(new))
        load = msgspec.structs.replace(draft.load, selection=kept)
        self._book.add(load)
        log.info("load started", load=load.name, dataset=load.dataset, files=load.files)
        self._wake.set()
        return self.get(load.name)

    async def check(self, new: NewLoad) -> Check:
        """What of such a load is loaded already.

        Raises:
            InvalidInput, DatasetNotFound, PathNotFound, OriginError: as `start`.
        """
        draft = await self._draft(new)
        with draft.opened.held.share():
            return await self._survey.check(*draft, self._present())

    async def _draft(self, new: NewLoad) -> "_Draft":
        selection = Selection.of(new)
        if new.schedule:
            check_schedule(new.schedule)
        self._check_names(new)
        dataset, opened = await self._catalog.open(new.dataset)
        snapshot = opened.snapshot
        with opened.held.share():
            selected = await asyncio.to_thread(select, snapshot, selection)
        pinned = new.policy != "Cron" and not new.run_after
        load = Load(
            name=new.name or f"{dataset.name[:54].rstrip('-.')}-{secrets.token_hex(3)}",
            uid=secrets.token_hex(6),
            dataset=dataset.name,
            dataset_uid=dataset.uid,
            selection=selection,
            created=self._now(),
            metadata_only=new.metadata_only,
            replicas=new.replicas,
            zones=new.zones,
            nodes=new.nodes,
            all=new.all,
            rate=new.rate,
            policy=new.policy,
            schedule=new.schedule,
            run_after=new.run_after,
            ttl=new.ttl,
            snapshot=snapshot.id if pinned else "",
            snapshot_size=len(snapshot.data) if pinned else 0,
            files=len(selected.rows),
            bytes=0 if new.metadata_only else selected.size,
        )
        return _Draft(load, dataset, opened, selected)

    def _check_names(self, new: NewLoad) -> None:
        there = self._mesh.by_store.values()
        for what, named, known in (
            ("member", new.nodes, {peer.name for peer in there}),
            ("zone", new.zones, {peer.zone for peer in there}),
        ):
            for name in named:
                if name not in known:
                    raise InvalidInput(f"the mesh has no {what} {name!r}: see `meshcache members`")

    def cancel(self, name: str) -> Status:
        """End a load, and of a Cron load its schedule; what is loaded stays. Idempotent.

        Raises:
            NotFound: there is none of that name.
        """
        load = self._book.load(name)
        if load.end is None or load.policy == "Cron":
            now = self._now()
            self._book.change(
                load, lambda there: msgspec.structs.replace(there, cancelled=there.cancelled or now)
            )
        self._wake.set()
        return self.get(name)

    def delete(self, name: str) -> None:
        """End a load and forget it; what is loaded stays.

        Raises:
            NotFound: there is none of that name.
        """
        self._book.load(name)
        self._book.delete(name)
        self._wake.set()

    # --- following --------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Look again, if what happened may concern a load."""
        if not isinstance(event, MapChanged) or event.namespace in (
            *(LOADS, PROGRESS),
            *(DATASETS, HEADS),
        ):
            self._wake.set()

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
        reports = self._reports()
        present = self._present()
        until = now + IDLE
        for load in sorted(loads.values(), key=lambda load: (load.created, load.uid)):
            if load.end is not None and load.policy != "Cron":
                self._stop(load.uid)
                continue
            run = self._run(load, reports, now)
            subject, dataset = self._subject(load)
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
            if load.uid in self._missing:
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
        worker = Worker(
            self._means,
            self._snapshots,
            self._lists,
            aim,
            run,
            me=self._mesh.me,
            rate=lambda: aim.load.rate / max(1, self._sharing.get(uid, 1)),
            ended=self._wake.set,
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
        working = [running.worker.progress for running in self._running.values()]
        every = min(5.0, max(1.0, len(self._mesh.by_store) / 20))
        ended = sum(1 for one in working if one.ended) + len(self._done)
        due = self._reported + every
        if (working or self._done) and (now >= due or ended != self._reported_ended):
            done = [one for uid, one in self._done.items() if uid not in self._running]
            self._book.write(self._mesh.me, Report(self._member, (*done, *working)))
            self._reported, self._reported_ended = now, ended
            due = now + every
        return due if any(not one.ended for one in working) else now + IDLE

    # --- how things are ---------------------------------------------------------------------

    def _present(self) -> Present:
        mesh = self._mesh
        return Present(mesh.by_store, frozenset(mesh.placement.store_ids), mesh.view)

    def _reports(self) -> dict[str, Report]:
        """What the members say, this one as it is now."""
        own = [running.worker.progress for running in self._running.values()]
        own += [done for uid, done in self._done.items() if uid not in self._running]
        return self._book.reports() | {self._mesh.me: Report(self._member, tuple(own))}

    def _run(self, load: Load, reports: Mapping[str, Report], now: float) -> Run:
        awaited = self._book.loads().get(load.run_after) if load.run_after else None
        begun = (
            one.run for report in reports.values() for one in report.loads if one.uid == load.uid
        )
        return run_of(load, awaited, begun, now)

    def _subject(self, load: Load) -> tuple[Subject, Dataset | None]:
        """What a load works on, and the dataset's record."""
        try:
            dataset = self._catalog.get(load.dataset)
        except DatasetNotFound:
            dataset = None
        if dataset is None or dataset.uid != load.dataset_uid:
            since = self._missing.setdefault(load.uid, self._now())
            gone = self._now() - since >= GONE_AFTER
            return Subject(problem=f"dataset {load.dataset!r} was deleted" if gone else ""), None
        self._missing.pop(load.uid, None)
        head = self._catalog.head(load.dataset)
        if load.snapshot:
            snapshot, size = load.snapshot, load.snapshot_size
        elif head is not None:
            snapshot, size = head.snapshot, head.snapshot_size
        else:
            snapshot, size = "", 0
        return Subject(snapshot, size, dataset.generation), dataset


def _sharing(load: Load, run: Run, reports: Mapping[str, Report], present: Present) -> int:
    """How many targets still fetch."""
    ended = {
        store
        for store, report in reports.items()
        for one in report.loads
        if (one.uid, one.run) == (load.uid, run.number) and one.ended
    }
    return len(present.targets(load) - ended)
