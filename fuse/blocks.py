"""The worker's side of the door: blocks for readers, mapped, asked for once.

One task reads the door. A reader that finds its block mapped never waits; otherwise it joins the
one wish for that block. A wish lives until the agent answers it, also when no reader waits any
more: a reader's deadline ends the reader's request and nothing else. When the door is lost, the
wishes stay, and are said again over the next door; until then what is mapped is served.

All methods belong to the loop's thread. Mapping happens in threads unless the block is in memory;
between a wish's answer and its block standing in the window there may be an `await`, so `_wishes`
holds it until then.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from meshcache.block import PIECE_SIZE
from meshcache.errors import DeadlineExceeded, MeshcacheError, NotFound, StoreError, from_wire
from meshcache.fuse.mapping import is_in_memory, map_file
from meshcache.fuse.messages import Block, Fail, GiveBack, Peek, Peeked, Want, encode
from meshcache.fuse.packets import PacketSocket
from meshcache.fuse.tree import Found
from meshcache.fuse.window import Key, Mapped, Window
from meshcache.snapshot import ROOT_INODE
from meshcache.tasks import TaskSet

log = structlog.get_logger("meshcache.fuse.worker")

MAPPING_THREADS = 4
"""Threads that map and populate. Each is mostly in the kernel, waiting for a disk."""


MAX_MAPPED = 49152
"""Blocks mapped at most, whatever the budget: a process may have 65530 mappings (vm.max_map_count),
and each takes about 1 KB of the worker's memory besides its page tables."""

PEEK_AFTER = 0.001
"""Seconds after which a reader asks for its part of a block alone: what the agent holds is there
by then."""

_LOG_EVERY = 1.0
"""Seconds between two log lines about blocks that could not be had: when an origin is down, every
reader's every request fails."""


class _Wish:
    __slots__ = ("found", "key", "length", "peeking", "ready", "seq")

    def __init__(self, key: Key, found: Found, length: int, seq: int) -> None:
        self.key = key
        self.found = found
        self.length = length
        self.seq = seq
        self.peeking = False
        """Somebody waits for a part of it. One does at a time: each costs two messages and a copy,
        which is worth it for the first bytes, and not for all of a block."""
        self.ready: asyncio.Future[Mapped] = asyncio.get_running_loop().create_future()

    def want(self) -> bytes:
        snapshot = bytes.fromhex(self.found.snapshot.id)
        return encode(Want(self.seq, snapshot, self.found.row, self.key[1]))


class Blocks:
    """The mapped blocks of one mount, and the wishes for others."""

    def __init__(self, first: int = 0) -> None:
        """`first` is the number before the first wish's. Another worker may have used the same door
        before; answers to its wishes must not be taken for answers to ours."""
        self.block_size = 0
        """Bytes; 0 until a snapshot is shown."""
        self.window = Window(0, MAX_MAPPED)
        self._door: PacketSocket | None = None
        self._wishes: dict[Key, _Wish] = {}
        self._by_seq: dict[int, _Wish] = {}
        self._peeks: dict[int, asyncio.Future[bytes]] = {}
        self._seq = first
        self._failures = 0
        self._log_next = 0.0
        self._threads = ThreadPoolExecutor(MAPPING_THREADS, "mapping")
        self._tasks = TaskSet(_report)

    # --- for readers ------------------------------------------------------------------------

    def mapped(self, inode: int, index: int) -> Mapped | None:
        """The block if it is mapped."""
        return self.window.get((inode, index))

    async def get(self, found: Found, index: int, until: float) -> Mapped:
        """The block, waiting for the agent if need be, at most until that time of the loop.

        Raises:
            DeadlineExceeded: it did not come in time.
            MeshcacheError: the agent says that it cannot be had.
        """
        key = (found.inode, index)
        block = self.window.get(key)
        if block is not None:
            return block
        wish = self._wish(key, found)
        await self._wait(wish, until)
        return self._had(wish)

    async def get_part(
        self, found: Found, index: int, start: int, stop: int, until: float
    ) -> Mapped | bytes:
        """The block; or only its bytes [start, stop), if those are there before the rest.

        Raises:
            DeadlineExceeded, MeshcacheError: as `get`.
        """
        key = (found.inode, index)
        if (block := self.window.get(key)) is not None:
            return block
        wish = self._wish(key, found)
        if stop > wish.length or wish.length <= PIECE_SIZE or wish.peeking:
            return await self.get(found, index, until)
        await self._wait(wish, min(until, asyncio.get_running_loop().time() + PEEK_AFTER))
        if wish.ready.done() or wish.peeking or self._door is None:
            return await self.get(found, index, until)
        self._seq += 1
        seq, part = self._seq, asyncio.get_running_loop().create_future()
        self._peeks[seq] = part
        wish.peeking = True
        self._door.send(encode(Peek(seq, wish.seq, start, stop)))
        try:
            await self._wait(wish, until, part)
        finally:
            wish.peeking = False
            del self._peeks[seq]
        return part.result() if part.done() else self._had(wish)

    async def _wait(self, wish: _Wish, until: float, *others: asyncio.Future[bytes]) -> None:
        # Not asyncio.timeout: a handler has no task yet (`meshcache.fuse.session_loops`).
        timeout = until - asyncio.get_running_loop().time()
        either: list[asyncio.Future[Any]] = [wish.ready, *others]
        await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)

    def _had(self, wish: _Wish) -> Mapped:
        if not wish.ready.done():
            inode, index = wish.key
            raise DeadlineExceeded(f"block {index} of inode {inode} did not come in time")
        return wish.ready.result()

    def prefetch(self, found: Found, index: int) -> None:
        """Begin to map a block that a reader will want soon, if the file has it."""
        key = (found.inode, index)
        if index * self.block_size < found.size and key not in self.window:
            self._wish(key, found)

    def _wish(self, key: Key, found: Found) -> _Wish:
        wish = self._wishes.get(key)
        if wish is None:
            length = min(self.block_size, found.size - key[1] * self.block_size)
            self._seq += 1
            wish = self._wishes[key] = _Wish(key, found, length, self._seq)
            self._by_seq[wish.seq] = wish
            if self._door is not None:
                self._door.send(wish.want())
        return wish

    def _fulfil(self, wish: _Wish, answer: Mapped | Exception) -> None:
        self._wishes.pop(wish.key, None)
        if isinstance(answer, Exception):
            wish.ready.set_exception(answer)
            wish.ready.exception()  # a wish whose readers have all gone is nobody's error
        else:
            wish.ready.set_result(answer)

    # --- for the task that reads the door ---------------------------------------------------

    def agree(self, *, block_size: int, budget: int, most: int) -> None:
        """Take what the agent says of itself; again when its mounts have become more or fewer.

        Raises:
            StoreError: its blocks have another size than those that this mount serves.
        """
        if self.block_size and self.block_size != block_size:
            raise StoreError(f"blocks of {block_size} bytes on a mount with {self.block_size}")
        self.block_size = block_size
        self.window.budget = budget
        self.window.most = min(MAX_MAPPED, most)

    def use(self, door: PacketSocket, find: Callable[[int], Found]) -> None:
        """Ask over this door from now on, and say again what is still wished for.

        To be called when the door's head is shown: an agent that was restarted knows its head,
        and may have to look for older snapshots, so each wish is said in the newest one (`find`)
        that has its file.

        What is mapped from before is not lent by this agent: its store may evict it without
        counting the space that the mapping still takes. So it is let go, and lent anew to the
        next reader; but blocks of files that the head no longer has stay, for nobody else may
        have them any more.
        """
        if door is self._door:
            return
        self._door = door
        head = find(ROOT_INODE).snapshot
        for block in list(self.window):
            with suppress(NotFound):
                if not block.lent and find(block.key[0]).snapshot is head:
                    self.window.drop(block.key)
        for wish in self._by_seq.values():
            with suppress(NotFound):
                wish.found = find(wish.key[0])
            door.send(wish.want())

    def lose_door(self) -> None:
        """Stop asking, until `use`. All loans ended with the door; what is mapped stays good."""
        self._door = None
        for block in self.window:
            block.lent = 0  # a number of the next door's is another loan

    def take(self, message: Block, file: int | None) -> None:
        """A wanted block came in, with its file, which is closed here."""
        wish = self._by_seq.pop(message.seq, None)
        if wish is None or file is None or message.length != wish.length:
            if file is not None:
                os.close(file)
            self._give_back([message.lent], self._door)
            if wish is not None:
                problem = "no file" if file is None else f"{message.length} bytes"
                self._fulfil(wish, StoreError(f"{problem} for a block of {wish.length} bytes"))
            return
        if is_in_memory(file, wish.length):  # at once: a thread's turn costs more
            self._finish(wish, message.lent, self._door, partial(_map_and_close, file, wish.length))
        else:
            self._tasks.start(self._map(wish, message.lent, file, self._door), name="map")

    async def _map(self, wish: _Wish, lent: int, file: int, door: PacketSocket | None) -> None:
        loop = asyncio.get_running_loop()
        mapping = loop.run_in_executor(self._threads, _map_and_close, file, wish.length)
        with suppress(Exception):  # `_finish` meets it
            await mapping
        self._finish(wish, lent, door, mapping.result)

    def _finish(
        self, wish: _Wish, lent: int, door: PacketSocket | None, mapped: Callable[[], memoryview]
    ) -> None:
        """`mapped` gives the block's bytes, or raises what was in the way."""
        try:
            view = mapped()
        except Exception as error:
            self._give_back([lent], door)
            self._fulfil(wish, error)
            return
        block = Mapped(wish.key, view, lent if door is self._door else 0)
        gone = self.window.add(block)
        self._give_back([old.lent for old in gone if old.lent], self._door)
        self._fulfil(wish, block)

    def take_part(self, message: Peeked, file: int | None) -> None:
        """Bytes of a block that is still coming came in, in a file, which is closed here."""
        if file is None:
            return
        try:
            part = self._peeks.get(message.seq)
            if part is not None and not part.done():
                part.set_result(os.pread(file, os.fstat(file).st_size, 0))
        finally:
            os.close(file)

    def fail(self, message: Fail) -> None:
        """The agent cannot give a wanted block."""
        wish = self._by_seq.pop(message.seq, None)
        if wish is not None:
            self._log_failure(wish, message)
            self._fulfil(wish, from_wire(message.error, message.message))

    def _log_failure(self, wish: _Wish, message: Fail) -> None:
        self._failures += 1
        now = asyncio.get_running_loop().time()
        if now >= self._log_next:
            log.warning(
                "blocks could not be had",
                count=self._failures,
                inode=wish.key[0],
                index=wish.key[1],
                error=message.error,
                message=message.message,
            )
            self._failures, self._log_next = 0, now + _LOG_EVERY

    def _give_back(self, lent: list[int], door: PacketSocket | None) -> None:
        if lent and door is not None and door is self._door:
            door.send(encode(GiveBack(lent)))

    async def close(self) -> None:
        """Let everything go."""
        await self._tasks.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for wish in list(self._wishes.values()):
            self._fulfil(wish, DeadlineExceeded("the mount ends"))
        self._by_seq.clear()
        self.window.clear()


def _map_and_close(file: int, length: int) -> memoryview:
    try:
        return map_file(file, length)
    finally:
        os.close(file)


def _report(name: str, error: BaseException) -> None:
    level = log.warning if isinstance(error, MeshcacheError) else log.error
    level("a task failed", task=name, error=str(error))
