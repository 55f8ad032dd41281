"""How fresh what is opened has to be: the dataset's policy, applied (docs/semantics.md).

``immutable``: as listed. ``ttl``: an open that finds the listing older than that has it made anew,
and does not wait for it. ``check-on-open``: an open asks the origin whether the file is what was
listed; if it is not, the dataset is listed anew, and the open shows what is there then.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

import structlog

from meshcache.agent.catalog.entries import Entries
from meshcache.agent.catalog.refreshes import Refreshes
from meshcache.agent.origins import Origins
from meshcache.block import DEFAULT_BLOCK_SIZE, Block, FileVersion
from meshcache.dataset import Dataset, Head
from meshcache.errors import MeshcacheError, ObjectChanged, OriginError
from meshcache.singleflight import SingleFlight
from meshcache.tasks import TaskSet
from meshcache.wanted import Wanted

log = structlog.get_logger()

INTERVAL = 1.0
"""Seconds in which a file is asked for at most once by this node, whoever opens it."""

_MAX_CHECKED = 1 << 16

_RETRY = 10.0
"""Seconds until a listing that was due and failed is tried again, at the least."""


class Freshness:
    """Looks at the origin when the policy of what is opened says so."""

    def __init__(
        self,
        entries: Entries,
        refreshes: Refreshes,
        origins: Origins,
        tasks: TaskSet,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._entries = entries
        self._refreshes = refreshes
        self._origins = origins
        self._tasks = tasks
        self._now = now
        self._checked: OrderedDict[bytes, float] = OrderedDict()
        """File version's id -> when it was found unchanged, the longest unused first."""
        self._checking: SingleFlight[bytes, None] = SingleFlight()
        self._relisting: SingleFlight[str, Head] = SingleFlight()
        self._tried: dict[str, float] = {}

    def touch(self, name: str) -> None:
        """Something of a dataset is read: have it listed if that is overdue. Does not wait."""
        dataset = self._entries.find(name)
        if dataset is None or dataset.policy != "ttl":
            return
        head, now = self._entries.head(name), self._now()
        overdue = head is None or now - head.listed > dataset.ttl
        if overdue and now - self._tried.get(name, 0.0) > min(dataset.ttl, _RETRY):
            self._tried[name] = now
            self._tasks.start(self._relist(name), name=f"list {name} again")

    async def _relist(self, name: str) -> None:
        try:
            await self._refreshes.refresh(name)
        except MeshcacheError as error:
            log.warning("dataset not refreshed", dataset=name, error=str(error))

    async def check(self, name: str, file: FileVersion) -> None:
        """A file is opened: see that it is still what was listed, if the policy wants that.

        An origin that cannot be asked is no changed file: what is held is read.

        Raises:
            ObjectChanged: it is another one, or gone.
        """
        dataset = self._entries.find(name)
        if dataset is not None and dataset.policy == "check-on-open" and not self._is_fresh(file):
            await self._checking.run(file.id, lambda: self._ask(dataset, file))

    def _is_fresh(self, file: FileVersion) -> bool:
        return self._now() - self._checked.get(file.id, 0.0) < INTERVAL

    async def _ask(self, dataset: Dataset, file: FileVersion) -> None:
        wanted = Wanted(dataset.name, Block(file, DEFAULT_BLOCK_SIZE, 0))
        began = self._now()
        try:
            await self._origins.for_block(wanted).verify(file)
        except ObjectChanged:
            raise
        except OriginError as error:
            log.warning("not checked", dataset=dataset.name, key=file.key, error=str(error))
        self._checked[file.id] = began
        self._checked.move_to_end(file.id)
        while len(self._checked) > _MAX_CHECKED:
            self._checked.popitem(last=False)

    async def relist(self, name: str) -> Head:
        """Have a dataset listed of which a file was found changed. Those who find more meanwhile
        may have found them after the listing passed by: they find so at their next open.

        Raises:
            OriginError: it could not be listed.
        """
        return await self._relisting.run(name, lambda: self._refreshes.refresh(name))
