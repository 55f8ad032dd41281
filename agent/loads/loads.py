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
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import structlog

from meshcache.agent.catalog import DATASETS, HEADS, Catalog
from meshcache.agent.catalog.versions import version_of
from meshcache.agent.loads.book import Book
from meshcache.agent.loads.fetch import CONCURRENCY, Means
from meshcache.agent.loads.following import Following
from meshcache.agent.loads.lists import Lists
from meshcache.agent.loads.outlook import Outlook
from meshcache.agent.loads.record import LOADS, PROGRESS, Load
from meshcache.agent.loads.schedule import check_schedule
from meshcache.agent.loads.selection import Selected, Selection, select
from meshcache.agent.loads.spec import NewLoad, Terms
from meshcache.agent.loads.status import Status, look
from meshcache.agent.loads.survey import Check, Plan, Survey
from meshcache.agent.loads.wish import wish_of
from meshcache.agent.loads.worker import Aim, Worker
from meshcache.agent.mesh import MeshView
from meshcache.agent.mesh.peers import PeerClient
from meshcache.agent.snapshots import OpenSnapshot, Snapshots
from meshcache.dataset import Dataset
from meshcache.errors import InvalidInput
from meshcache.gossip import Event, Gossip, MapChanged
from meshcache.reader import Reader
from meshcache.store import Store
from meshcache.tasks import TaskSet

log = structlog.get_logger()


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
        self._mesh = mesh
        self._now = now
        self._lists = lists = Lists(store, reader, mesh)
        self._survey = Survey(store, mesh, client)
        self._book = Book(gossip.map)
        self._outlook = Outlook(self._book, catalog, mesh, now)
        means = Means(store, reader, asyncio.Semaphore(CONCURRENCY), now)

        def hire(
            aim: Aim, run: int, rate: Callable[[], float], ended: Callable[[], None]
        ) -> Worker:
            return Worker(means, snapshots, lists, aim, run, me=mesh.me, rate=rate, ended=ended)

        self._following = Following(
            self._book, self._outlook, mesh, tasks, hire, member=member, now=now
        )

    # --- asking -----------------------------------------------------------------------------

    def all(self) -> list[Status]:
        """All loads, the oldest first, without their members."""
        found = [self._look(load) for load in self._book.loads().values()]
        alone = [msgspec.structs.replace(status, members=()) for status in found]
        return sorted(alone, key=lambda status: (status.created, status.name))

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
        return self._following.running

    def _look(self, load: Load) -> Status:
        reports, now = self._following.reports(), self._now()
        run = self._outlook.run(load, reports, now)
        return look(
            load, run, reports, self._outlook.present(), self._outlook.subject(load)[0], now
        )

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
                return await self._survey.plan(*draft, self._outlook.present())
        kept = await self._lists.keep(draft.dataset.name, Selection.of(new))
        load = msgspec.structs.replace(draft.load, selection=kept)
        self._book.add(load)
        log.info("load started", load=load.name, dataset=load.dataset, files=load.files)
        self._following.wake()
        return self.get(load.name)

    async def check(self, new: NewLoad) -> Check:
        """What of such a load is loaded already.

        Raises:
            InvalidInput, DatasetNotFound, PathNotFound, OriginError: as `start`.
        """
        draft = await self._draft(new)
        with draft.opened.held.share():
            return await self._survey.check(*draft, self._outlook.present())

    async def _draft(self, new: NewLoad) -> "_Draft":
        selection = Selection.of(new)
        if new.schedule:
            check_schedule(new.schedule)
        self._check_names(new)
        dataset, opened = await self._catalog.open(new.dataset)
        snapshot = opened.snapshot
        with opened.held.share():
            selected = await asyncio.to_thread(select, snapshot, selection)
        version = version_of(new.dataset)
        pinned = version is not None or (new.policy != "Cron" and not new.run_after)
        load = Load(
            name=new.name or f"{dataset.name[:54].rstrip('-.')}-{secrets.token_hex(3)}",
            uid=secrets.token_hex(6),
            dataset=dataset.name,
            dataset_uid=dataset.uid,
            selection=selection,
            created=self._now(),
            version=version or "",
            snapshot=snapshot.id if pinned else "",
            snapshot_size=len(snapshot.data) if pinned else 0,
            files=len(selected.rows),
            bytes=0 if new.metadata_only else selected.size,
            **{field: getattr(new, field) for field in Terms.__struct_fields__},
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
        self._following.wake()
        return self.get(name)

    def delete(self, name: str) -> None:
        """End a load and forget it; what is loaded stays.

        Raises:
            NotFound: there is none of that name.
        """
        self._book.load(name)
        self._book.delete(name)
        self._following.wake()

    # --- following --------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Look again, if what happened may concern a load."""
        if not isinstance(event, MapChanged) or event.namespace in (
            *(LOADS, PROGRESS),
            *(DATASETS, HEADS),
        ):
            self._following.wake()

    async def follow(self) -> None:
        """Work on this member's shares until cancelled, or until the member leaves."""
        await self._following.follow()
