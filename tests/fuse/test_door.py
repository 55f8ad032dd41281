"""A door lends what is asked for, and holds nothing when it has closed."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest

from meshcache.errors import OriginUnreachable
from meshcache.fuse.door import Door
from meshcache.fuse.messages import (
    Begin,
    Block,
    Fail,
    GiveBack,
    Head,
    Hello,
    Peek,
    Peeked,
    Report,
    Want,
    decode_to_worker,
    encode,
)
from meshcache.fuse.packets import PacketSocket
from meshcache.tasks import TaskSet
from tests.fuse.agent import memory_file, snapshot_of
from tests.support.wait import eventually

SNAPSHOT = snapshot_of({"a": b"data"})
ID = "ab" * 32


class Loan:
    length = 4

    def __init__(self) -> None:
        self.released = 0
        self.file = memory_file("block", b"data")

    def fileno(self) -> int:
        return self.file

    def pinned(self) -> "Loan":
        os.close(self.file)
        return self

    def release(self) -> None:
        self.released += 1


class Source:
    dataset, block_size = "models", 1 << 20
    budget, most = 1 << 26, 1000

    def __init__(self, folder: Path) -> None:
        self.loans: list[Loan] = []
        self.file = folder / "snapshot"
        self.file.write_bytes(SNAPSHOT)
        self.watching: Literal["", "tell", "ask"] = ""
        self.opened_rows: list[int] = []
        self.open_error: Exception | None = None
        self.peeked: list[tuple[int, int, int, int]] = []
        self.given_up = 0
        self.may_come = asyncio.Event()
        self.may_come.set()

    async def snapshots(self) -> AsyncIterator[tuple[str, int, Path | int]]:
        yield ID, len(SNAPSHOT), self.file

    @property
    def opens(self) -> Literal["", "tell", "ask"]:
        return self.watching

    async def opened(self, snapshot: str, row: int) -> None:
        self.opened_rows.append(row)
        if self.open_error is not None:
            raise self.open_error

    def reported(self, report: Report) -> None:
        pass

    async def part(self, snapshot: str, row: int, index: int, start: int, stop: int) -> bytes:
        self.peeked.append((row, index, start, stop))
        if stop > 10:
            try:
                await asyncio.Event().wait()
            finally:
                self.given_up += 1
        if start == 5:
            raise OriginUnreachable("s3://bucket does not answer")
        return b"0123456789"[start:stop]

    async def block(self, snapshot: str, row: int, index: int) -> Loan:
        assert snapshot == ID
        await self.may_come.wait()
        if row == 13:
            raise OriginUnreachable("s3://bucket does not answer")
        if row == 14:
            raise ZeroDivisionError("a fault of ours")
        self.loans.append(Loan())
        return self.loans[-1]


class Worker:
    """The other end."""

    def __init__(self, source: Source) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.door = Door(source)
        self.errors: list[BaseException] = []
        self._tasks = TaskSet(lambda _, error: self.errors.append(error))
        self.serving = self._tasks.start(self.door.serve(theirs), name="serve")
        self.socket = PacketSocket(ours)
        self.socket.send(encode(Begin()))

    async def next(self) -> tuple[object, bytes | None]:
        packet = await self.socket.receive()
        assert packet is not None
        content = None
        for file in packet.files:
            content = os.pread(file, 1 << 20, 0)
            os.close(file)
        return decode_to_worker(packet.data), content

    async def greeted(self) -> "Worker":
        assert await self.next() == (Hello("models", 1 << 20, 1 << 26, 1000), None)
        assert await self.next() == (Head(bytes.fromhex(ID), len(SNAPSHOT)), SNAPSHOT)
        return self

    def want(self, seq: int, row: int = 1) -> None:
        self.socket.send(encode(Want(seq, bytes.fromhex(ID), row, 0)))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


async def test_a_worker_is_told_when_it_may_keep_less(source: Source) -> None:
    worker = Worker(source)
    worker.door.agree()  # before it has begun: it will be told then
    await worker.greeted()
    source.budget, source.most = 1 << 25, 500
    worker.door.agree()
    assert await worker.next() == (Hello("models", 1 << 20, 1 << 25, 500), None)
    worker.socket.close()
    await worker.serving


async def test_a_block_is_lent_until_it_is_given_back(source: Source) -> None:
    worker = await Worker(source).greeted()
    worker.want(5)
    message, content = await worker.next()
    assert message == Block(5, 1, 4)
    assert content == b"data"
    assert worker.door.lent == 1
    assert source.loans[0].released == 0
    worker.socket.send(encode(GiveBack([1, 99])))
    await eventually(lambda: source.loans[0].released)
    assert worker.door.lent == 0
    worker.socket.close()
    await worker.serving
    assert source.loans[0].released == 1


async def test_a_part_of_a_block_is_shown_before_the_block_is_there(source: Source) -> None:
    worker = await Worker(source).greeted()
    source.may_come.clear()
    worker.want(5)
    worker.socket.send(encode(Peek(6, 5, 2, 4)))
    assert await worker.next() == (Peeked(6), b"23")
    worker.socket.send(encode(Peek(7, 5, 5, 6)))  # fails: the answer to the wish will say so
    worker.socket.send(encode(Peek(8, 5, 0, 11)))  # does not come before the block
    worker.socket.send(encode(Peek(9, 99, 0, 4)))  # of no wish
    await eventually(lambda: len(source.peeked) == 3)
    source.may_come.set()
    assert await worker.next() == (Block(5, 1, 4), b"data")
    await eventually(lambda: source.given_up == 1)
    worker.socket.send(encode(Peek(10, 5, 0, 4)))  # too late
    worker.want(11)
    assert await worker.next() == (Block(11, 2, 4), b"data")
    assert source.peeked == [(1, 0, 2, 4), (1, 0, 5, 6), (1, 0, 0, 11)]
    worker.socket.close()
    await worker.serving
    assert not worker.errors


async def test_everything_is_given_back_when_the_worker_is_gone(source: Source) -> None:
    worker = await Worker(source).greeted()
    for seq in range(5):
        worker.want(seq)
        await worker.next()
    worker.socket.close()
    await worker.serving
    assert [loan.released for loan in source.loans] == [1] * 5
    assert worker.door.lent == 0


async def test_an_error_travels_by_its_name_and_a_fault_does_not_close_the_door(
    source: Source,
) -> None:
    worker = await Worker(source).greeted()
    worker.want(1, row=13)
    assert (await worker.next())[0] == Fail(1, "OriginUnreachable", "s3://bucket does not answer")
    worker.want(2, row=14)
    message, _ = await worker.next()
    assert isinstance(message, Fail)
    assert (message.seq, message.error) == (2, "MeshcacheError")
    worker.want(3)
    assert (await worker.next())[0] == Block(3, 1, 4)
    worker.socket.close()
    await worker.serving


async def test_a_message_that_makes_no_sense_closes_the_door(source: Source) -> None:
    worker = await Worker(source).greeted()
    worker.socket.send(b"\xc1nonsense")
    await worker.serving
    assert await worker.socket.receive() is None
    worker.socket.close()
    assert not worker.errors


async def test_a_source_that_fails_closes_the_door(source: Source) -> None:
    source.file.unlink()
    worker = Worker(source)
    await worker.serving
    assert worker.door.lent == 0
    worker.socket.close()
