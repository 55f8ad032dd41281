"""What strangers, replayers and broken members can do over real sockets: be counted."""

import asyncio
import contextlib
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import zmq

from meshcache.gossip import Event, Gossip, GossipConfig, MemberFailed, MemberSuspect, State, wire
from meshcache.gossip.keys import derive
from tests.gossip.members import CHILD, KEY, Start
from tests.support.wait import eventually

Insider = Callable[[str], "zmq.Socket[bytes]"]


@pytest.fixture
def insider() -> Iterator[Insider]:
    """A connection of somebody who has the mesh key, and says over it what he likes."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    opened: list[zmq.Socket[bytes]] = []

    def connect(address: str) -> "zmq.Socket[bytes]":
        derived = derive(KEY)
        sock = context.socket(zmq.DEALER)
        sock.linger = 0
        sock.curve_publickey, sock.curve_secretkey = derived.client.public, derived.client.secret
        sock.curve_serverkey = derived.server.public
        sock.connect(f"tcp://{address}")
        opened.append(sock)
        return sock

    yield connect
    context.destroy(linger=0)
    opened.clear()


def alive(gossip: Gossip) -> list[str]:
    return sorted(m.name for m in gossip.members() if m.state is State.ALIVE)


class Tap:
    """Stands between two members and writes down what the one that dials says."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._upstream = (host, int(port))
        self.recorded: list[bytearray] = []

    async def __aenter__(self) -> "Tap":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        record = bytearray()
        self.recorded.append(record)

        async def copy(
            source: asyncio.StreamReader, sink: asyncio.StreamWriter, into: bytearray
        ) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    into += data
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(copy(reader, up_writer, record), copy(up_reader, writer, bytearray()))


async def test_a_recorded_conversation_is_worth_nothing(start: Start) -> None:
    a = await start("a")
    async with Tap(a.address) as tap:
        b = Gossip(GossipConfig(name="b", key=KEY, seeds=[tap.address]))
        await b.start()
        await eventually(lambda: alive(a) == ["a", "b"])
        b.map.put("s", "k", b"of b")
        await eventually(lambda: a.map.get("s", "k"))
        await b.leave()
        a.map.delete("s", "k")
        record = max(tap.recorded, key=len)
        assert len(record) > 500
        before = a.stats()
        told: list[Event] = []
        a.subscribe(told.append)
        host, port = a.address.split(":")
        for _ in range(3):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(bytes(record))
            # The cookie in it is of another handshake, and so the connection ends.
            with contextlib.suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 5)
                while not reader.at_eof():
                    await reader.read(65536)
            writer.close()
        await eventually(lambda: a.stats()["strangers_refused"] >= before["strangers_refused"] + 3)
        assert a.stats()["frames_received"] == before["frames_received"]
        assert a.map.get("s", "k") is None
        assert not told


async def test_a_frame_that_is_too_long_is_hung_up_on(start: Start, insider: Insider) -> None:
    a = await start("a")
    b = await start("b", a)
    await eventually(lambda: alive(a) == alive(b) == ["a", "b"])
    hostile = insider(a.address)
    monitor = hostile.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    assert monitor is not None
    received = a.stats()["frames_received"]
    hostile.send(os.urandom(wire.MAX_FRAME + 1))
    await eventually(lambda: monitor.poll(0))
    hostile.disable_monitor()
    monitor.close(linger=0)
    hostile.send(b"after all")
    await eventually(lambda: a.stats()["malformed"] >= 1)
    assert a.stats()["frames_received"] > received
    assert alive(a) == alive(b) == ["a", "b"]


async def test_an_insider_that_says_nonsense_is_counted_and_disturbs_nobody(
    start: Start, insider: Insider
) -> None:
    """Frames with a right header and a body of noise, of every kind, and of kinds unknown."""
    a = await start("a")
    b = await start("b", a)
    await eventually(lambda: alive(a) == alive(b) == ["a", "b"])
    told: list[Event] = []
    a.subscribe(told.append)
    hostile = insider(a.address)
    mesh, me = wire.mesh_id("meshcache"), bytes.fromhex(a.me.uid)[:8]
    sent = 0
    for kind in range(40):
        for size in (0, 1, 30, 3000):
            header = b"MC" + bytes((wire.VERSION, kind)) + mesh + me
            hostile.send(header + os.urandom(size))
            sent += 1
    hostile.send_multipart([b"two", b"parts"])
    hostile.send_multipart([b"x"] * 50)

    def refused() -> int:
        stats = a.stats()
        names = ("malformed", "unknown_kind", "not_introduced")
        return sum(stats.get(name, 0) for name in names)

    await eventually(lambda: refused() >= sent + 2)
    assert alive(a) == alive(b) == ["a", "b"]
    assert not told


async def test_connections_that_say_nothing_are_hung_up_on(start: Start) -> None:
    a = await start("a")
    host, port = a.address.split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(20)]
    try:
        for sock in silent:
            sock.setblocking(False)

        def ended(sock: socket.socket) -> bool:
            with contextlib.suppress(BlockingIOError):
                while sock.recv(4096):
                    pass
                return True
            return False

        await eventually(lambda: all(map(ended, silent)), within=6)  # the handshake has 3 s
    finally:
        for sock in silent:
            sock.close()
    b = await start("b", a)
    await eventually(lambda: alive(a) == alive(b) == ["a", "b"])


async def test_strangers_that_take_all_descriptors_of_a_member_do_not_end_it(start: Start) -> None:
    a = await start("a")
    told: list[Event] = []
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, KEY.hex(), a.address],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300)),
    )
    flood: list[socket.socket] = []
    try:
        assert child.stdout is not None
        host, port = child.stdout.readline().split(":")
        await eventually(lambda: alive(a) == ["a", "child"])
        a.subscribe(told.append)
        for _ in range(400):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((host, int(port)))
            flood.append(sock)
        await asyncio.sleep(2)
        for sock in flood:
            sock.close()
        await asyncio.sleep(2)
        assert child.poll() is None
        assert alive(a) == ["a", "child"]
        assert not [event for event in told if isinstance(event, MemberFailed | MemberSuspect)]
        b = await start("b", seeds=[f"{host}:{port.strip()}"])
        await eventually(lambda: alive(b) == ["a", "b", "child"])
    finally:
        for sock in flood:
            sock.close()
        child.kill()
        child.communicate(timeout=10)


async def test_too_few_descriptors_are_one_clear_error_of_the_process() -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, KEY.hex(), "127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)),
    )
    assert child.returncode == 1
    assert "this process may open 200 files and gossip needs 256: raise `ulimit -n`" in child.stderr


async def test_a_member_keeps_about_ten_links_whatever_the_mesh(start: Start) -> None:
    first = await start("m00")
    members = [first, *[await start(f"m{number:02}", first) for number in range(1, 36)]]
    await eventually(lambda: all(len(alive(member)) == 36 for member in members), within=30)
    # Links to observers and subjects, at most ten; those of the join end after ten seconds.
    await eventually(lambda: all(member.stats()["links"] <= 14 for member in members), within=40)
    assert sum(member.stats()["links"] for member in members) / 36 < 11
