"""The mounts of this node: what the agent gives to each, and how they end with it.

A mount is served by a worker process that talks to the agent over a door, a socket of that mount
alone (`meshcache.fuse.door`). The keeper of the mount asks for a door over the control socket, and
again when the agent was restarted.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

import structlog

from meshcache.agent.catalog import Catalog, Freshness
from meshcache.agent.mounts.allowance import Allowance
from meshcache.agent.mounts.records import MountRecord
from meshcache.agent.mounts.source import Means, Source
from meshcache.dataset import base_name
from meshcache.errors import EnvironmentUnfit, MeshcacheError, NotFound
from meshcache.fuse.door import Door
from meshcache.fuse.mountpoint import is_mounted, unmount
from meshcache.prefetch import Prefetcher
from meshcache.reader import Reader
from meshcache.store import Store
from meshcache.tasks import TaskSet

log = structlog.get_logger()

CLAIM_WITHIN = 30.0
"""Seconds in which a keeper must come to the door that it asked for."""


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
        self._means = Means(catalog, freshness, reader, prefetcher, Allowance(store.quota))
        self._folder = folder
        self._records: dict[str, MountRecord] = {}
        self._sources: dict[str, Source] = {}
        self._tasks = TaskSet(on_error=self._on_error)

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
        record, opened = await self._means.catalog.open(dataset)
        keeper = keeper or mountpoint
        for old in [id for id, source in self._sources.items() if source.keeper == keeper]:
            self._forget(old)
        id = secrets.token_hex(8)
        door = self._folder / f"{id}.sock"
        listening = self._listen(door)
        pinned = opened if base_name(dataset) != dataset else None
        source = Source(record, self._means, pinned, keeper, shown)
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

    async def _serve(self, mount: MountRecord, source: Source, listening: socket.socket) -> None:
        try:
            with listening:
                async with asyncio.timeout(CLAIM_WITHIN):
                    connection = await _accept(listening)
            self._remove_door(mount)
            door = Door(source)
            with self._means.allowance.share(door):
                await door.serve(connection)
        except TimeoutError:
            log.warning("nobody came to a mount's door", mountpoint=mount.mountpoint)
        finally:
            self._forget(mount.id)

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
