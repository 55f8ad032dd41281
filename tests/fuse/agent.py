"""An agent in the small: real snapshots and real files over a real door, and faults on demand.

It runs in a thread of the test's process, with a loop of its own; the mounts it serves belong to
keepers and workers in processes of theirs.
"""

import asyncio
import os
import socket
import threading
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Literal

from meshcache.errors import ObjectChanged
from meshcache.fuse.door import Door
from meshcache.fuse.messages import Report
from meshcache.origin.base import Listed
from meshcache.snapshot import Builder, Snapshot
from meshcache.units import MIB

ORIGIN = "file:///somewhere"
MTIME_NS = 1_700_000_000_123_456_789


def snapshot_of(files: Mapping[str, bytes], *, tags: Mapping[str, str] | None = None) -> bytes:
    """A snapshot's bytes; a file's version follows from its content unless a tag is given."""
    builder = Builder([("/", ORIGIN)])
    for path, data in files.items():
        tag = (tags or {}).get(path) or f"{zlib.crc32(data):08x}"
        builder.add(0, Listed(path, path, len(data), MTIME_NS, tag))
    return builder.build()


def memory_file(name: str, data: bytes) -> int:
    number = os.memfd_create(name)
    os.truncate(number, len(data))
    os.pwrite(number, data, 0)
    return number


class FakeLoan:
    """A block in a memfd, with a trailer behind its data as the store's have."""

    def __init__(self, agent: "FakeAgent", data: bytes, said: int | None = None) -> None:
        self._file = memory_file("block", data + b"trailer")
        self.length = said or len(data)
        self._agent = agent
        self._released = False
        agent.lent += 1

    def fileno(self) -> int:
        return self._file

    def pinned(self) -> "FakeLoan":
        os.close(self._file)
        return self

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._agent.lent -= 1


class FakeAgent:
    """Serves every door that is opened at `path` from files in memory."""

    dataset = "models"

    def __init__(
        self,
        path: Path,
        files: Mapping[str, bytes],
        *,
        block_size: int = MIB,
        budget: int = 64 * MIB,
        most: int = 1000,
    ) -> None:
        self.path = path
        self.block_size = block_size
        self.budget = budget
        self.most = most
        self.lent = 0
        self.doors = 0
        self.greets = True
        """False: doors are closed as soon as they are opened."""
        self.asked: Counter[tuple[str, int]] = Counter()
        """(path, index) -> times."""
        self.errors: dict[str, Exception] = {}
        """Path -> what asking for it raises."""
        self.lying: set[str] = set()
        """Paths whose blocks are said to be longer than their files."""
        self.stalled: set[str] = set()
        """Paths whose blocks do not come until the path is taken out."""
        self.come: dict[str, int] = {}
        """Path -> bytes of each of its blocks that are there before the block is."""
        self.peeks: list[tuple[str, int, int]] = []
        self.watching: Literal["", "tell", "ask"] = ""
        self.opened_rows: list[int] = []
        self.reports: list[Report] = []
        self.open_error: Exception | None = None
        self.change_at_open: dict[str, bytes] | None = None
        """Shown, once, when a file is opened; the open is then told that the file has changed."""
        self._data: dict[str, dict[str, bytes]] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._head = ""
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False
        self.show(files)
        self.start()

    # --- the source -------------------------------------------------------------------------

    async def snapshots(self) -> AsyncIterator[tuple[str, int, Path | int]]:
        while True:
            moved, head = self._moved, self._head
            data = bytes(self._snapshots[head].data)
            file = memory_file("snapshot", data)
            try:
                yield head, len(data), file
            finally:
                os.close(file)
            await moved.wait()

    @property
    def opens(self) -> Literal["", "tell", "ask"]:
        return self.watching

    async def opened(self, snapshot: str, row: int) -> None:
        self.opened_rows.append(row)
        if self.change_at_open is not None:
            files, self.change_at_open = self.change_at_open, None
            self.show(files)
            await asyncio.sleep(0.1)  # the head goes out first, over the same door
            raise ObjectChanged("it was found changed")
        if self.open_error is not None:
            raise self.open_error

    def reported(self, report: Report) -> None:
        self.reports.append(report)

    async def part(self, snapshot: str, row: int, index: int, start: int, stop: int) -> bytes:
        path = self._snapshots[snapshot].path(row)
        self.peeks.append((path, start, stop))
        while stop > self.come.get(path, 0):
            await asyncio.sleep(0.02)
        begin = index * self.block_size
        return self._data[snapshot][path][begin + start : begin + stop]

    async def block(self, snapshot: str, row: int, index: int) -> FakeLoan:
        path = self._snapshots[snapshot].path(row)
        self.asked[path, index] += 1
        while path in self.stalled:
            await asyncio.sleep(0.02)
        if path in self.errors:
            raise self.errors[path]
        start = index * self.block_size
        data = self._data[snapshot][path][start : start + self.block_size]
        return FakeLoan(self, data, said=len(data) + 1 if path in self.lying else None)

    # --- for tests --------------------------------------------------------------------------

    def show(self, files: Mapping[str, bytes], *, tags: Mapping[str, str] | None = None) -> str:
        """Make these files the head; gives the snapshot's id."""
        snapshot = Snapshot(snapshot_of(files, tags=tags))
        self._snapshots[snapshot.id] = snapshot
        self._data[snapshot.id] = dict(files)
        self._head = snapshot.id
        moved, self._moved = self._moved, asyncio.Event()
        if self._running:
            self._loop.call_soon_threadsafe(moved.set)
        return snapshot.id

    def start(self) -> None:
        """Open for doors."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.path.unlink(missing_ok=True)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._listener.setblocking(False)
        self._loop = asyncio.new_event_loop()
        self._moved = asyncio.Event()
        self._main = self._loop.create_task(self._accept())
        self._thread = threading.Thread(target=self._run, name="fake agent")
        self._thread.start()
        self._running = True

    def stop(self) -> None:
        """Close every door and take no more. Idempotent."""
        if not self._running:
            return
        self._running = False
        self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        finally:
            self._listener.close()
            for task in self._tasks:
                task.cancel()
            self._loop.run_until_complete(_all(self._tasks))
            self._tasks.clear()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _accept(self) -> None:
        while True:
            sock, _ = await self._loop.sock_accept(self._listener)
            self.doors += 1
            if not self.greets:
                sock.close()
                continue
            door = Door(self)
            self._tasks.add(self._loop.create_task(door.serve(sock)))


async def _all(tasks: "set[asyncio.Task[None]]") -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
