"""The agent's side of a mount's door.

A door serves one mount, one dataset, and only reads. What goes over it is lent: a block stays in
use until the worker gives it back, another worker begins in its place, or the door closes, so a
worker that was killed holds nothing.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, Protocol

import structlog

from meshcache.errors import MeshcacheError
from meshcache.fuse.messages import (
    Begin,
    Block,
    Checked,
    Fail,
    GiveBack,
    Head,
    Hello,
    Opened,
    Opens,
    Peek,
    Peeked,
    Report,
    Want,
    decode_to_agent,
    encode,
)
from meshcache.fuse.packets import PacketSocket
from meshcache.tasks import TaskSet

log = structlog.get_logger("meshcache.fuse.door")

_MAX_MESSAGE = 1000
"""Characters of an error's text that travel."""


class Pin(Protocol):
    """A block that is not evicted (`meshcache.store.Pin`)."""

    def release(self) -> None:
        """The borrower needs it no more. Idempotent."""
        ...


class Loan(Protocol):
    """A block that is held for somebody (`meshcache.store.Held`)."""

    @property
    def length(self) -> int:
        """Bytes, from the start of the file."""
        ...

    def fileno(self) -> int:
        """A read-only descriptor of the block's file."""
        ...

    def pinned(self) -> Pin:
        """Give it back for one without a descriptor: the worker has been sent its own, and closes
        that once it has mapped the block."""
        ...


class DoorSource(Protocol):
    """What the agent gives to one mount."""

    @property
    def dataset(self) -> str: ...

    @property
    def block_size(self) -> int:
        """Bytes."""
        ...

    @property
    def budget(self) -> int:
        """Bytes of blocks that the worker may keep mapped."""
        ...

    @property
    def most(self) -> int:
        """Blocks that the worker may keep mapped."""
        ...

    def snapshots(self) -> AsyncIterator[tuple[str, int, Path | int]]:
        """(id in hex, bytes, its file) of the dataset's head, and again whenever it moves or
        `opens` changes. Asked anew for each worker. A file is a path, or a descriptor that stays
        the source's."""
        ...

    @property
    def opens(self) -> Literal["", "tell", "ask"]:
        """What it wants to hear of opens; may change when `snapshots` gives something."""
        ...

    async def opened(self, snapshot: str, row: int) -> None:
        """The file at a row of a snapshot that this mount has shown is opened.

        Raises:
            MeshcacheError: it is not to be: `ObjectChanged` once the name leads to another file.
        """
        ...

    def reported(self, report: Report) -> None:
        """How the mount's workers are."""
        ...

    async def block(self, snapshot: str, row: int, index: int) -> Loan:
        """Block `index` of the file at a row of a snapshot that this mount has shown.

        Raises:
            MeshcacheError: it cannot be had.
        """
        ...

    async def part(self, snapshot: str, row: int, index: int, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of a block that `block` is getting, once they are there and
        right; if they come in no such way this waits until it is cancelled.

        Raises:
            MeshcacheError: they cannot be had.
        """
        ...


class Door:
    """Serves one mount over one socket."""

    def __init__(self, source: DoorSource) -> None:
        self._source = source
        self._loans: dict[int, Pin] = {}
        self._last_loan = 0
        self._coming: dict[int, tuple[Want, list[asyncio.Task[None]]]] = {}
        """What is wanted and not lent yet, by number, and those who peek at it."""
        self._tasks = TaskSet(self._on_error)
        self._socket: PacketSocket | None = None
        self._showing: asyncio.Task[None] | None = None
        self._has_begun = False

    @property
    def lent(self) -> int:
        """Blocks lent and not given back."""
        return len(self._loans)

    async def serve(self, sock: socket.socket) -> None:
        """Answer until keeper and worker have closed the other end. Takes the socket over. When it
        returns or is cancelled, nothing is lent any more. A door serves once."""
        self._socket = PacketSocket(sock)
        try:
            while (packet := await self._socket.receive()) is not None:
                for file in packet.files:  # none is expected
                    os.close(file)
                self._on_message(packet.data)
        except ValueError as error:
            log.error(
                "a mount sent something unusable", dataset=self._source.dataset, error=str(error)
            )
        finally:
            self._socket.close()
            await self._tasks.close()
            self._release_all()

    def agree(self) -> None:
        """Tell the worker what it may keep: also when that has changed."""
        if self._has_begun:
            source = self._source
            hello = Hello(source.dataset, source.block_size, source.budget, source.most)
            self._send(encode(hello))

    def _begin(self) -> None:
        # What the worker before asked for still comes; the new one does not know its numbers, and
        # gives it back.
        self._release_all()
        self._has_begun = True
        self.agree()
        if self._showing is not None:
            self._showing.cancel()
        self._showing = self._tasks.start(self._show(), name="show snapshots")

    def _release_all(self) -> None:
        for loan in self._loans.values():
            loan.release()
        self._loans.clear()

    def _on_message(self, data: bytes) -> None:
        match decode_to_agent(data):
            case Begin():
                self._begin()
            case Report() as report:
                self._source.reported(report)
            case Want() as want:
                self._coming[want.seq] = want, []
                self._tasks.start(self._lend(want), name=f"lend {want.row}/{want.index}")
            case Opened(seq=0):
                self._tasks.start(self._source.opened("", 0), name="note an open")
            case Opened() as opened:
                self._tasks.start(self._check(opened), name=f"check {opened.row}")
            case Peek(want=number) as peek if number in self._coming:
                want, peeks = self._coming[number]
                peeks.append(self._tasks.start(self._show_part(want, peek), name="peek"))
            case Peek():
                pass  # the block is there by now
            case GiveBack(lent=lent):
                for number in lent:
                    if (loan := self._loans.pop(number, None)) is not None:
                        loan.release()

    async def _show(self) -> None:
        opens = ""
        async for snapshot, size, place in self._source.snapshots():
            if self._source.opens != opens:
                opens = self._source.opens
                self._send(encode(Opens(self._source.opens)))
            file = os.open(place, os.O_RDONLY) if isinstance(place, Path) else place
            try:
                self._send(encode(Head(bytes.fromhex(snapshot), size)), file)
            finally:
                if file is not place:
                    os.close(file)

    async def _check(self, opened: Opened) -> None:
        try:
            await self._source.opened(opened.snapshot.hex(), opened.row)
        except MeshcacheError as error:
            text = str(error)[:_MAX_MESSAGE]
            self._send(encode(Checked(opened.seq, type(error).__name__, text)))
        except Exception as error:
            log.error("an open could not be checked", opened=opened, exc_info=error)
            self._send(encode(Checked(opened.seq, "MeshcacheError", repr(error)[:_MAX_MESSAGE])))
        else:
            self._send(encode(Checked(opened.seq)))

    async def _show_part(self, want: Want, peek: Peek) -> None:
        snapshot = want.snapshot.hex()
        try:
            data = await self._source.part(snapshot, want.row, want.index, peek.start, peek.stop)
        except MeshcacheError:
            return  # the answer to the wish says it
        file = os.memfd_create("meshcache-part", os.MFD_CLOEXEC)
        try:
            os.write(file, data)
            self._send(encode(Peeked(peek.seq)), file)
        finally:
            os.close(file)

    async def _lend(self, want: Want) -> None:
        try:
            await self._get_and_lend(want)
        finally:
            for task in self._coming.pop(want.seq, (want, []))[1]:
                task.cancel()

    async def _get_and_lend(self, want: Want) -> None:
        try:
            loan = await self._source.block(want.snapshot.hex(), want.row, want.index)
        except MeshcacheError as error:
            text = str(error)[:_MAX_MESSAGE]
            self._send(encode(Fail(want.seq, type(error).__name__, text)))
            return
        except Exception as error:
            log.error("a block could not be lent", want=want, exc_info=error)
            self._send(encode(Fail(want.seq, "MeshcacheError", repr(error)[:_MAX_MESSAGE])))
            return
        self._last_loan += 1
        self._send(encode(Block(want.seq, self._last_loan, loan.length)), loan.fileno())
        self._loans[self._last_loan] = loan.pinned()

    def _send(self, data: bytes, *files: int) -> None:
        if self._socket is not None:
            self._socket.send(data, files)

    def _on_error(self, name: str, error: BaseException) -> None:
        # Without heads the mount grows stale: close, and let the keeper come back for a new door.
        log.error("a door failed", dataset=self._source.dataset, task=name, exc_info=error)
        if self._socket is not None:
            self._socket.close()
