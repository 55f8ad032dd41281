"""The mounts of this node: what the agent gives to each, and how they end with it.

A mount is served by a worker process that talks to the agent over a door, a socket of that mount
alone (`meshcache.fuse.door`). The keeper of the mount asks for a door over the control socket, and
again when the agent was restarted.
"""

import asyncio
import contextlib
import resource
import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from meshcache.agent.catalog import Catalog, Freshness
from meshcache.agent.snapshots import OpenSnapshot
from meshcache.dataset import Dataset, base_name
from meshcache.errors import (
    EnvironmentUnfit,
    MeshcacheError,
    NotFound,
    ObjectChanged,
    OriginError,
)
from meshcache.fuse.door import Door
from meshcache.fuse.messages import Report
from meshcache.fuse.mountpoint import is_mounted, unmount
from meshcache.fuse.shown import MAX_SHOWN
from meshcache.prefetch import Prefetcher
from meshcache.reader import Reader, Wanted
from meshcache.store import Held, Store
from meshcache.tasks import TaskSet
from meshcache.units import GIB

log = structlog.get_logger()

MAX_BUDGET = 16 * GIB
"""Bytes of blocks that the workers of all mounts may keep mapped. What is mapped is page cache; its
page tables take a five-hundredth of it. Mapped blocks are not evicted, so the workers get no more
than three quarters of the store: new blocks come and go in the rest."""

TELL_WITHIN = 10.0
"""Seconds that an open which found its file changed waits for the mount to show the new head."""

CLAIM_WITHIN = 30.0
"""Seconds in which a keeper must come to the door that it asked for."""


class WorkersRecord(msgspec.Struct):
    """How a mount's workers are, by its keeper's word."""

    state: Literal["serving", "replacing", "slowed"] = "serving"
    """A worker answers; another one takes over; they die again and again, so the next one waits."""
    pid: int = 0
    """The process that answers, as its keeper numbers it; 0 for none."""
    restarts: int = 0
    """Workers that died."""
    pause: float = 0.0
    """Seconds for which nobody answered when one died, or was replaced, last."""
    version: str = ""
    """Of the program that the worker runs."""
    upgrades: int = 0
    """Workers that were replaced on demand."""
    failed: int = 0
    """Attempts at that which failed."""
    problem: str = ""
    """Why the last of them did."""


class MountRecord(msgspec.Struct):
    """A registered mount."""

    id: str
    dataset: str
    """Its name, and ``@`` and a version if it shows that alone."""
    mountpoint: str
    pid: int
    """The keeper's process, as its own pid namespace numbers it."""
    door: str
    """The Unix socket (SOCK_SEQPACKET) that serves it."""
    workers: WorkersRecord = msgspec.field(default_factory=WorkersRecord)


class _Source:
    """What one mount may have (`meshcache.fuse.door.DoorSource`): one dataset, read-only."""

    def __init__(
        self,
        dataset: Dataset,
        mounts: "Mounts",
        pinned: OpenSnapshot | None,
        keeper: str,
        earlier: Mapping[str, int],
    ) -> None:
        """`pinned` is the one snapshot that it shows, whatever the head is; `earlier` are those
        that it showed while another agent was here, by id, with their bytes."""
        self._record = dataset
        self._mounts = mounts
        self._pinned = pinned
        self.keeper = keeper
        self.shown: dict[str, OpenSnapshot] = {}
        """The snapshots that the mount has shown; they stay open while it lives."""
        self.earlier = dict(list(earlier.items())[-MAX_SHOWN:])
        self.workers = WorkersRecord()
        self.moved = asyncio.Event()
        self._told = ""
        """The snapshot that the worker knows to be the head."""
        self._telling = asyncio.Event()

    @property
    def dataset(self) -> str:
        return self._record.name

    @property
    def block_size(self) -> int:
        return self._record.block_size

    @property
    def budget(self) -> int:
        return self._mounts.worker_budget

    @property
    def most(self) -> int:
        return self._mounts.worker_files

    @property
    def opens(self) -> Literal["", "tell", "ask"]:
        dataset = self._mounts.catalog.find(self.dataset) or self._record
        match dataset.policy:
            case "check-on-open":
                return "ask"
            case "ttl" if self._pinned is None:
                return "tell"
        return ""

    async def snapshots(self) -> AsyncIterator[tuple[str, int, Path | int]]:
        opens = self._told = ""
        while True:
            self.moved.clear()
            try:
                opened = self._pinned or (await self._mounts.catalog.open(self.dataset))[1]
            except MeshcacheError as error:
                # The mount goes on showing what it shows; a deleted dataset stays readable.
                log.warning("no new head for a mount", dataset=self.dataset, error=str(error))
            else:
                id = opened.snapshot.id
                if id != self._told or self.opens != opens:
                    opens = self.opens
                    self._show(opened)
                    yield id, opened.snapshot.data.nbytes, opened.held.fileno()
                    # Asked for the next: the worker was told of this one.
                    self._told = id
                    self._telling.set()
            await self.moved.wait()

    async def opened(self, snapshot: str, row: int) -> None:
        freshness = self._mounts.freshness
        if not snapshot:
            freshness.touch(self.dataset)
            return
        opened = await self._open(snapshot)
        try:
            await freshness.check(self.dataset, opened.snapshot.file(row))
        except ObjectChanged:
            if self._pinned is None:
                with contextlib.suppress(OriginError, TimeoutError):
                    head = await freshness.relist(self.dataset)
                    await self._until_told(head.snapshot)
            raise

    async def _open(self, snapshot: str) -> OpenSnapshot:
        """A snapshot that the mount has shown, be it before the agent was restarted.

        Raises:
            ObjectChanged: it has not shown this one.
            OriginUnreachable: no member holds it any more.
        """
        opened = self.shown.get(snapshot)
        if opened is not None:
            return opened
        size = self.earlier.get(snapshot)
        if size is None:
            raise ObjectChanged(f"snapshot {snapshot[:12]} is not open any more")
        opened = await self._mounts.catalog.open_shown(self.dataset, snapshot, size)
        self.shown = {snapshot: opened} | self.shown  # the oldest: it goes first
        return opened

    async def _until_told(self, snapshot: str) -> None:
        async with asyncio.timeout(TELL_WITHIN):
            while self._told != snapshot:
                self._telling.clear()
                await self._telling.wait()

    def _show(self, opened: OpenSnapshot) -> None:
        self.shown.pop(opened.snapshot.id, None)  # one that is shown again is the newest again
        self.shown[opened.snapshot.id] = opened
        while len(self.shown) > MAX_SHOWN:
            del self.shown[next(iter(self.shown))]

    def reported(self, report: Report) -> None:
        workers = self.workers
        workers.state, workers.pid, workers.version = report.state, report.worker, report.version
        workers.restarts, workers.pause = report.restarts, report.pause
        workers.upgrades, workers.failed = report.upgrades, report.failed
        workers.problem = report.problem

    async def block(self, snapshot: str, row: int, index: int) -> Held:
        wanted = await self._wanted(snapshot, row, index)
        self._mounts.prefetcher.touch(wanted)
        return await self._mounts.reader.read(wanted)

    async def part(self, snapshot: str, row: int, index: int, start: int, stop: int) -> bytes:
        wanted = await self._wanted(snapshot, row, index)
        return await self._mounts.reader.part(wanted, start, stop)

    async def _wanted(self, snapshot: str, row: int, index: int) -> Wanted:
        opened = await self._open(snapshot)
        return Wanted(self.dataset, opened.snapshot.file(row).block(self.block_size, index))


class Mounts:
    """Registers mounts and serves their doors."""

    def __init__(
        self,
        catalog: Catalog,
        freshness: Freshness,
        reader: Reader,
        prefetcher: Prefetcher,
        store: Store,
        *,
        folder: Path,
    ) -> None:
        """`folder` is where the doors' sockets are made, for this user alone."""
        self.catalog = catalog
        self.freshness = freshness
        self.reader = reader
        self.prefetcher = prefetcher
        self._budget = min(MAX_BUDGET, store.quota * 3 // 4)
        self._doors: dict[str, Door] = {}
        self._folder = folder
        self._records: dict[str, MountRecord] = {}
        self._sources: dict[str, _Source] = {}
        self._tasks = TaskSet(on_error=self._on_error)

    @property
    def worker_budget(self) -> int:
        """Bytes of blocks that each mount's worker may keep mapped."""
        return self._budget // max(1, len(self._doors))

    @property
    def worker_files(self) -> int:
        """Blocks that each may keep mapped: half of this process' descriptors for all."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return files // 2 // max(1, len(self._doors))

    def all(self) -> list[MountRecord]:
        """The registered mounts."""
        return list(self._records.values())

    def shows(self, dataset: str) -> bool:
        """Whether a mount shows this dataset."""
        return any(source.dataset == dataset for source in self._sources.values())

    def snapshots(self) -> set[str]:
        """The ids of all snapshots that mounts have shown."""
        return {id for source in self._sources.values() for id in {*source.shown, *source.earlier}}

    async def add(
        self, dataset: str, mountpoint: str, pid: int, *, keeper: str, shown: Mapping[str, int]
    ) -> MountRecord:
        """Register a mount and open its door. Its keeper's name replaces what was registered by it
        before: it has come back for a new door. (A mountpoint is no name: given descriptors all
        look alike.) The mount has shown the snapshots `shown`, id -> bytes.

        A mount of ``dataset@version`` shows that version as long as it lives.

        Raises:
            DatasetNotFound: there is no such dataset, or no such version of it.
            OriginError: its snapshot cannot be had.
            EnvironmentUnfit: the socket cannot be made.
        """
        record, opened = await self.catalog.open(dataset)
        keeper = keeper or mountpoint
        for old in [id for id, source in self._sources.items() if source.keeper == keeper]:
            self._forget(old)
        id = secrets.token_hex(8)
        door = self._folder / f"{id}.sock"
        listening = self._listen(door)
        pinned = opened if base_name(dataset) != dataset else None
        source = _Source(record, self, pinned, keeper, shown)
        source.shown[opened.snapshot.id] = opened
        name = f"{record.name}@{pinned.snapshot.id[:12]}" if pinned else record.name
        mount = MountRecord(id, name, mountpoint, pid, str(door), source.workers)
        self._records[id] = mount
        self._sources[id] = source
        self._tasks.start(self._serve(mount, source, listening), name=f"mount {mountpoint}")
        log.info("mount registered", dataset=dataset, mountpoint=mountpoint)
        return mount

    def _listen(self, path: Path) -> socket.socket:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            listening.bind(str(path))
            listening.listen(1)
        except OSError as error:
            raise EnvironmentUnfit(f"cannot make the socket {path}: {error.strerror}") from error
        return listening

    async def _serve(self, mount: MountRecord, source: _Source, listening: socket.socket) -> None:
        try:
            with listening:
                async with asyncio.timeout(CLAIM_WITHIN):
                    connection = await _accept(listening)
            self._remove_door(mount)
            with self._shares(mount.id, Door(source)) as door:
                await door.serve(connection)
        except TimeoutError:
            log.warning("nobody came to a mount's door", mountpoint=mount.mountpoint)
        finally:
            self._forget(mount.id)

    @contextlib.contextmanager
    def _shares(self, id: str, door: Door) -> Iterator[Door]:
        """While it lasts, this door's worker has its share of what workers may keep mapped."""
        self._doors[id] = door
        try:
            for other in self._doors.values():
                other.agree()
            yield door
        finally:
            del self._doors[id]
            for other in self._doors.values():
                other.agree()

    def _forget(self, id: str) -> None:
        mount = self._records.pop(id, None)
        self._sources.pop(id, None)
        if mount is not None:
            self._remove_door(mount)

    @staticmethod
    def _remove_door(mount: MountRecord) -> None:
        """Once its keeper has come, or will not, nobody else is to come in."""
        Path(mount.door).unlink(missing_ok=True)

    async def drop(self, id: str) -> None:
        """Forget a mount; its keeper has unmounted it.

        Raises:
            NotFound: no such mount is registered.
        """
        if id not in self._records:
            raise NotFound(f"no mount {id!r} at this agent")
        self._forget(id)

    async def head_changed(self, dataset: str) -> None:
        """Have the mounts of a dataset look for its new head."""
        for source in self._sources.values():
            if source.dataset == dataset:
                source.moved.set()

    async def unmount_all(self) -> None:
        """Unmount what is registered here, all at the same time."""
        await asyncio.gather(*(asyncio.to_thread(_unmount, mount) for mount in self.all()))

    async def close(self) -> None:
        """Close all doors. The mounts stay, and wait for the agent to come back."""
        await self._tasks.close()
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    @staticmethod
    def _on_error(name: str, error: BaseException) -> None:
        log.error("a mount's door failed", task=name, exc_info=error)


def _unmount(mount: MountRecord) -> None:
    try:
        if is_mounted(Path(mount.mountpoint)):
            unmount(Path(mount.mountpoint))
    except (MeshcacheError, OSError) as error:
        log.warning("not unmounted", mountpoint=mount.mountpoint, error=str(error))


async def _accept(listening: socket.socket) -> socket.socket:
    """The first connection. By hand: uvloop's sock_accept takes only stream sockets."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(listening, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(listening)
    connection, _ = listening.accept()
    connection.setblocking(False)
    return connection
