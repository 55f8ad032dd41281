"""Messages arrive whole, in order and with their files, or not at all."""

import asyncio
import os
import socket
from pathlib import Path

from meshcache.fuse.packets import PacketSocket
from tests.fuse.agent import memory_file


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def pair() -> tuple[PacketSocket, PacketSocket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return PacketSocket(ours), PacketSocket(theirs)


async def test_messages_keep_their_order_when_the_socket_is_full() -> None:
    ours, theirs = pair()
    messages = [b"%d" % number + bytes(number % 1000) for number in range(3000)]
    for message in messages:
        ours.send(message)
    for message in messages:
        packet = await theirs.receive()
        assert packet is not None
        assert packet.data == message
    ours.close()
    assert await theirs.receive() is None
    theirs.close()


async def test_files_arrive_with_their_message_even_if_the_sender_closed_them() -> None:
    ours, theirs = pair()
    before = open_files()
    for number in range(600):
        file = memory_file("test", b"%d" % number)
        ours.send(b"%d" % number, [file])
        os.close(file)
    for number in range(600):
        packet = await theirs.receive()
        assert packet is not None
        assert packet.data == b"%d" % number
        (file,) = packet.files
        assert os.pread(file, 10, 0) == packet.data
        assert not os.get_inheritable(file)
        os.close(file)
    assert open_files() == before
    ours.close()
    theirs.close()


async def close_soon(end: PacketSocket) -> None:
    await asyncio.sleep(0)
    end.close()


async def test_a_receiver_waits_and_is_woken_by_closing() -> None:
    ours, theirs = pair()
    received, _ = await asyncio.gather(theirs.receive(), close_soon(theirs))
    assert received is None
    assert await theirs.receive() is None
    ours.send(b"into the void")
    ours.send(b"once more")
    ours.close()
    ours.close()


async def test_closing_drops_what_was_not_sent_and_its_files() -> None:
    before = open_files()
    ours, theirs = pair()
    file = memory_file("test", b"")
    for _ in range(2000):
        ours.send(bytes(100), [file])
    os.close(file)
    ours.close()
    theirs.close()
    assert open_files() == before
