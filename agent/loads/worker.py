"""One member's work on one run of a load: its share, as the mesh is at the moment.

A worker computes its share, fetches what the store lacks of it, and ends; when the membership or
the snapshot changes meanwhile or after, it computes its share anew. Nothing is remembered of what
was fetched but the store itself, so a restart or another load goes on by difference.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

import msgspec
import numpy as np
import structlog

from meshcache.agent.loads.feed import Part
from meshcache.agent.loads.fetch import MAX_MESSAGE, PASSING, PAUSES, Fetch, Means
from meshcache.agent.loads.lists import Lists
from meshcache.agent.loads.pace import Pace
from meshcache.agent.loads.phase import Present, Subject, view_of
from meshcache.agent.loads.record import Load, Progress
from meshcache.agent.loads.selection import Selected, select
from meshcache.agent.loads.share import chunks, share_of
from meshcache.agent.snapshots import OpenSnapshot, Snapshots
from meshcache.dataset import Dataset
from meshcache.errors import MeshcacheError
from meshcache.placement import Placement
from meshcache.snapshot import Snapshot

log = structlog.get_logger()

T = TypeVar("T")


class Aim(msgspec.Struct, frozen=True):
    """What a share is computed from."""

    load: Load
    present: Present
    subject: Subject
    dataset: Dataset
    placement: Placement

    @property
    def view(self) -> str:
        """Names it."""
        return view_of(self.present, self.subject)


class Worker:
    """One run of one load, here. `work` is its task; the owner keeps it up to date by `renew`."""

    def __init__(
        self,
        means: Means,
        snapshots: Snapshots,
        lists: Lists,
        aim: Aim,
        run: int,
        *,
        me: str,
        rate: Callable[[], float],
        ended: Callable[[], None],
    ) -> None:
        """`me` is this node's store id; `rate` gives its part of the load's rate, 0: no limit;
        `ended` is called each time the share is done."""
        self._means = means
        self._snapshots = snapshots
        self._lists = lists
        self._aim = aim
        self._run = run
        self._me = me
        self._ended = ended
        self._pace = Pace(rate, clock=asyncio.get_running_loop().time)
        self._stale = asyncio.Event()
        self.progress = self._begun()

    def _begun(self) -> Progress:
        now = self._means.now()
        return Progress(self._aim.load.uid, self._run, self._aim.view, started=now, updated=now)

    @property
    def run(self) -> int:
        """The number of the run."""
        return self._run

    def renew(self, aim: Aim) -> None:
        """Take in how the mesh is now; the share is computed anew if that changes it."""
        if aim.view != self._aim.view:
            self._stale.set()
        self._aim = aim

    async def work(self) -> None:
        """Work until cancelled: once the share is done, wait for the next one."""
        while True:
            self._stale.clear()
            before = self.progress
            self.progress = self._begun()
            self.progress.started = before.started
            self.progress.fetched = before.fetched
            try:
                await self._fetch_share(self._aim)
            except MeshcacheError as error:
                self.progress.message = str(error)[:MAX_MESSAGE]
            if not self._stale.is_set():
                self._end()
                await self._stale.wait()

    def _end(self) -> None:
        done = self.progress
        done.ended = done.updated = self._means.now()
        log.info(
            "share of a load done",
            load=self._aim.load.name,
            blocks=done.blocks_done,
            fetched=done.fetched,
            failed=done.failed,
            problem=done.message,
        )
        self._ended()

    async def _fetch_share(self, aim: Aim) -> None:
        with ExitStack() as loans:
            selection, list_ = await self._patiently(
                lambda: self._lists.open(aim.load.dataset, aim.load.selection)
            )
            if list_ is not None:
                loans.callback(list_.release)
            subject = aim.subject
            opened: OpenSnapshot = await self._patiently(
                lambda: self._snapshots.open(
                    aim.load.dataset, subject.snapshot, subject.snapshot_size
                )
            )
            loans.callback(opened.held.share().release)
            if aim.load.metadata_only:
                self.progress.planned = True
                return
            selected = await asyncio.to_thread(select, opened.snapshot, selection)
            self.progress.files = len(selected.rows)
            member = aim.present.members[self._me].name
            fetch = Fetch(self._means, self.progress, self._pace, self._stale, member=member)
            share = partial(_share, aim, self._me, opened.snapshot, selected)
            await fetch.run(aim.load.dataset, share)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """What is to be had of other members, who may just be coming or going."""
        for pause in PAUSES:
            try:
                return await work()
            except PASSING:
                await asyncio.sleep(pause)
        return await work()


def _share(aim: Aim, me: str, snapshot: Snapshot, selected: Selected) -> Iterator[Part]:
    load = aim.load
    takes_all = aim.present.takes_all(load, aim.present.members[me])
    replicas = load.replicas or aim.dataset.replicas
    for chunk in chunks(snapshot, selected, aim.dataset.block_size, replicas):
        if takes_all:
            yield chunk.blocks(np.ones(len(chunk), dtype=np.bool_))
        else:
            yield share_of(aim.placement, me, chunk)
