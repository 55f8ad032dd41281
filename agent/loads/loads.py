"""Loads: warm-up jobs that have blocks fetched before anybody reads them.

Each block's first living owner fills it, so a load spreads over the mesh by itself; a block whose
owner cannot be reached is filled here instead.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator

import msgspec

from meshcache.agent.catalog import Catalog
from meshcache.agent.loads.spec import NewLoad
from meshcache.agent.mesh import MeshView
from meshcache.block import Block
from meshcache.dataset import Dataset
from meshcache.errors import InvalidInput, MeshcacheError, NotFound, PeerError
from meshcache.reader import Reader, Wanted
from meshcache.snapshot import Snapshot
from meshcache.tasks import TaskSet

CONCURRENCY = 16
"""Blocks that one load has under way at a time."""

KEPT = 100
"""Loads that are remembered; the oldest ended ones are forgotten."""


class Load(msgspec.Struct):
    """One load and how far it is."""

    id: str
    dataset: str
    paths: list[str]
    phase: str
    """Executing, Complete or Failed, as Fluid's DataLoad has them."""
    files: int = 0
    blocks: int = 0
    blocks_done: int = 0
    bytes: int = 0
    bytes_done: int = 0
    failed: int = 0
    """Blocks that could not be had."""
    message: str = ""
    """The first failure."""
    started: float = 0.0
    """Seconds since 1970."""
    duration: float = 0.0
    """Seconds until the end, or until now."""


class Loads:
    """The loads that this agent runs."""

    def __init__(
        self,
        catalog: Catalog,
        reader: Reader,
        mesh: MeshView,
        tasks: TaskSet,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._catalog = catalog
        self._reader = reader
        self._mesh = mesh
        self._tasks = tasks
        self._now = now
        self._loads: dict[str, Load] = {}

    def all(self) -> list[Load]:
        """All loads remembered, oldest first."""
        return [self._timed(load) for load in self._loads.values()]

    def get(self, id: str) -> Load:
        """One load.

        Raises:
            NotFound: this agent remembers no such load.
        """
        if id not in self._loads:
            raise NotFound(f"no load {id!r} at this agent")
        return self._timed(self._loads[id])

    def _timed(self, load: Load) -> Load:
        if load.phase == "Executing":
            load.duration = self._now() - load.started
        return load

    async def start(self, new: NewLoad) -> Load:
        """Begin a load.

        Raises:
            InvalidInput, DatasetNotFound, PathNotFound: nothing was begun.
        """
        dataset, paths = new.dataset, list(new.paths)
        if new != NewLoad(dataset=dataset, paths=new.paths):
            raise InvalidInput("this version loads paths of a dataset, and knows no options yet")
        record, opened = await self._catalog.open(dataset)
        rows = [opened.snapshot.resolve(path) for path in paths or ["/"]]
        wanted = dict.fromkeys(row for top in rows for row in opened.snapshot.walk(top))
        load = Load(secrets.token_hex(4), dataset, paths, "Executing", started=self._now())
        load.files = len(wanted)
        for row in wanted:
            size = int(opened.snapshot.size[row])
            load.bytes += size
            load.blocks += -(-size // record.block_size)
        self._remember(load)
        blocks = _blocks(opened.snapshot, list(wanted), record)
        self._tasks.start(self._run(load, blocks), name=f"load {load.id}")
        return load

    def _remember(self, load: Load) -> None:
        ended = [id for id, old in self._loads.items() if old.phase != "Executing"]
        for id in ended[: max(0, len(self._loads) + 1 - KEPT)]:
            del self._loads[id]
        self._loads[load.id] = load

    async def _run(self, load: Load, blocks: Iterator[Block]) -> None:
        async def work() -> None:
            # The workers share one iterator: each takes the next block that nobody has taken.
            for block in blocks:
                await self._fill(load, Wanted(load.dataset, block))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(CONCURRENCY):
                    group.create_task(work())
        finally:
            load.duration = self._now() - load.started
            complete = load.blocks_done == load.blocks
            load.phase = "Complete" if complete else "Failed"
            if not complete and not load.message:
                load.message = "the agent ended"

    async def _fill(self, load: Load, wanted: Wanted) -> None:
        try:
            await self._fill_at_owner(wanted)
        except MeshcacheError as error:
            load.failed += 1
            load.message = load.message or f"{wanted.block.file.key}: {error}"
        else:
            load.blocks_done += 1
            load.bytes_done += wanted.block.length

    async def _fill_at_owner(self, wanted: Wanted) -> None:
        for member in self._mesh.owners(wanted.block.id, 1):
            if member != self._mesh.me:
                try:
                    await self._mesh.fill(member, wanted)
                    return
                except PeerError:
                    break
        (await self._reader.fill(wanted)).release()


def _blocks(snapshot: Snapshot, rows: list[int], dataset: Dataset) -> Iterator[Block]:
    for row in rows:
        yield from snapshot.file(row).blocks(dataset.block_size)
