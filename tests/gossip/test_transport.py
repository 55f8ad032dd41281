"""Real members over real ZeroMQ on loopback."""

import asyncio
import os
import signal
import socket
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop
import zmq

from meshcache.gossip import (
    AddressUnusable,
    Gossip,
    GossipConfig,
    InvalidSettings,
    MapChanged,
    MapConflict,
    MemberFailed,
    MemberJoined,
    NotRunning,
    State,
    TagsTooLarge,
)
from meshcache.gossip.core.events import Why
from meshcache.gossip.keyring import KeyRing
from meshcache.gossip.transport import Transport
from tests.gossip.members import KEY, Start, knows, member_process
from tests.support.wait import eventually


async def test_members_join_by_a_seed_and_know_each_other(start: Start) -> None:
    a = await start("a")
    b = await start("b", a, tags={"zone": "z1"})
    c = await start("c", b)
    await eventually(lambda: all(knows(one, "a", "b", "c") for one in (a, b, c)))
    seen = next(member for member in c.members() if member.name == "b")
    assert seen.tags == {"zone": "z1"}
    assert seen.address == b.address
    assert seen.uid == b.me.uid


async def test_the_map_reaches_every_member_with_events(start: Start) -> None:
    a = await start("a")
    b = await start("b", a)
    await eventually(lambda: knows(b, "a", "b"))
    heard: list[object] = []
    end = b.subscribe(heard.append)
    version = a.map.put("datasets", "imagenet", b"{}", expect=None)
    entry = await eventually(lambda: b.map.get("datasets", "imagenet"))
    assert entry is not None
    assert entry.value == b"{}"
    assert entry.version == version
    assert MapChanged("datasets", "imagenet") in heard
    with pytest.raises(MapConflict):
        b.map.put("datasets", "imagenet", b"other", expect=None)
    b.map.delete("datasets", "imagenet")
    await eventually(lambda: a.map.get("datasets", "imagenet") is None)
    end()
    heard.clear()
    a.map.put("datasets", "later", b"")
    await eventually(lambda: b.map.get("datasets", "later"))
    assert not heard


async def test_a_member_that_leaves_is_left_at_once_everywhere(start: Start) -> None:
    a = await start("a")
    b, c = await start("b", a), await start("c", a)
    await eventually(lambda: all(knows(one, "a", "b", "c") for one in (a, b, c)))
    async with asyncio.timeout(2):
        await b.leave()
    await eventually(lambda: all(knows(one, "b", state=State.LEFT) for one in (a, c)), within=1)
    with pytest.raises(NotRunning):
        b.members()


async def test_a_killed_process_is_failed_within_two_seconds(start: Start) -> None:
    a = await start("a")
    b = await start("b", a)
    heard: list[object] = []
    b.subscribe(heard.append)
    with member_process(a.address) as child:
        await eventually(lambda: all(knows(one, "a", "b", "child") for one in (a, b)))
        child.send_signal(signal.SIGKILL)
        await eventually(
            lambda: all(knows(one, "child", state=State.FAILED) for one in (a, b)), within=2
        )
    assert sum(isinstance(event, MemberFailed) for event in heard) == 1


async def test_a_stopped_process_is_suspect_and_comes_back(start: Start) -> None:
    a = await start("a")
    b = await start("b", a)
    with member_process(a.address) as child:
        await eventually(lambda: all(knows(one, "a", "b", "child") for one in (a, b)))
        child.send_signal(signal.SIGSTOP)
        await eventually(
            lambda: all(knows(one, "child", state=State.SUSPECT) for one in (a, b)),
            within=2.5 + 0.5,
        )
        child.send_signal(signal.SIGCONT)
        await eventually(lambda: all(knows(one, "a", "b", "child") for one in (a, b)), within=2)


async def test_a_dial_is_refused_where_nobody_listens_not_where_nobody_has_time_to_accept() -> None:
    ended: dict[int, Why] = {}

    def ignore(*_: object) -> None:
        pass

    transport = Transport(
        KeyRing([KEY]),
        on_frames=ignore,
        on_closed=ended.__setitem__,
        on_busy=ignore,
        on_refused=ignore,
        on_guest=ignore,
        on_error=ignore,
    )
    await transport.start("127.0.0.1", 0)
    try:
        with socket.socket() as starved, socket.socket() as queued, socket.socket() as closed:
            for sock in starved, closed:
                sock.bind(("127.0.0.1", 0))
            starved.listen(0)
            queued.connect(starved.getsockname())  # takes the queue's only place
            for number, sock in ((1, starved), (2, closed)):
                transport.open(number, f"127.0.0.1:{sock.getsockname()[1]}")
            await eventually(lambda: len(ended) == 2, within=10)
    finally:
        await transport.close()
    assert ended == {1: Why.UNREACHABLE, 2: Why.REFUSED}


async def test_a_restart_at_the_same_address_is_another_member(start: Start) -> None:
    a = await start("a")
    b = await start("b", a)
    await eventually(lambda: all(knows(one, "a", "b") for one in (a, b)))
    host, port = b.address.split(":")
    old = b.me.uid
    await b.close()
    b = await start("b", a, bind=(host, int(port)))
    assert b.me.uid != old
    await eventually(
        lambda: (
            [m.uid for m in a.members() if m.name == "b" and m.state is State.ALIVE] == [b.me.uid]
        ),
        within=3,
    )


async def test_who_has_another_key_neither_joins_nor_disturbs(start: Start) -> None:
    a = await start("a")
    b = await start("b", a)
    heard: list[object] = []
    a.subscribe(heard.append)
    stranger = await start("stranger", a, key=b"not the mesh key, but as long as")
    await eventually(lambda: a.stats()["strangers_refused"] >= 2)
    assert knows(stranger, "stranger")
    await eventually(lambda: all(knows(one, "a", "b") for one in (a, b)))
    joined = [event for event in heard if isinstance(event, MemberJoined)]
    assert [event.member.name for event in joined] in (["b"], [])


async def test_a_stranger_who_knows_the_server_key_is_still_refused(start: Start) -> None:
    """ZAP lets in only the derived client key, whatever else a client knows."""
    from meshcache.gossip import keys

    a = await start("a")
    context = zmq.Context()
    client = context.socket(zmq.DEALER)
    client.linger = 0
    client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
    client.curve_serverkey = keys.derive(KEY).server.public
    monitor = client.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    assert monitor is not None
    client.connect(f"tcp://{a.address}")
    client.send(b"let me in")
    await eventually(lambda: monitor.poll(0))
    assert a.stats().get("frames_received", 0) == 0
    client.disable_monitor()
    context.destroy(linger=0)


async def test_plain_bytes_at_the_port_do_no_harm(start: Start) -> None:
    a = await start("a")
    host, port = a.address.split(":")
    for data in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b""):
        with socket.create_connection((host, int(port))) as sock:
            sock.sendall(data)
    b = await start("b", a)
    await eventually(lambda: knows(a, "a", "b"))
    await eventually(lambda: knows(b, "a", "b"))


async def test_a_hostile_member_with_the_key_cannot_crash_another(start: Start) -> None:
    from meshcache.gossip import keys

    a = await start("a")
    context = zmq.Context()
    client = context.socket(zmq.DEALER)
    client.linger = 0
    derived = keys.derive(KEY)
    client.curve_publickey, client.curve_secretkey = derived.client.public, derived.client.secret
    client.curve_serverkey = derived.server.public
    client.connect(f"tcp://{a.address}")
    client.send_multipart([b"two", b"parts"])
    for size in (0, 1, 16, 100, 100_000):
        client.send(os.urandom(size))
    await eventually(lambda: a.stats().get("malformed", 0) >= 5)
    context.destroy(linger=0)
    b = await start("b", a)
    await eventually(lambda: knows(b, "a", "b"))


async def test_a_taken_port_is_one_clear_error(start: Start) -> None:
    a = await start("a")
    host, port = a.address.split(":")
    with pytest.raises(AddressUnusable, match=port):
        await start("b", bind=(host, int(port)))


async def test_advertise_is_what_others_dial(start: Start) -> None:
    a = await start("a", bind=("0.0.0.0", 0), advertise=("127.0.0.1", 0))
    assert a.address.startswith("127.0.0.1:")
    assert not a.address.endswith(":0")
    b = await start("b", a)
    await eventually(lambda: knows(b, "a", "b"))


async def test_a_seed_may_be_a_name(start: Start) -> None:
    a = await start("a")
    port = a.address.split(":")[1]
    b = await start("b", seeds=["no-such-host.invalid:1", f"localhost:{port}"])
    await eventually(lambda: knows(b, "a", "b"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": b"short"},
        {"name": ""},
        {"role": "king"},
        {"seeds": ["no-port"]},
        {"seeds": ["host:99999"]},
        {"profile": "moon"},
    ],
    ids=str,
)
def test_settings_that_cannot_be_used_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings):
        Gossip(GossipConfig(**{"name": "a", "key": KEY, **wrong}))


async def test_tags_have_a_limit(start: Start) -> None:
    with pytest.raises(TagsTooLarge):
        Gossip(GossipConfig(name="a", key=KEY, tags={"x": "y" * 512}))
    a = await start("a", tags={"zone": "a"})
    with pytest.raises(TagsTooLarge):
        a.set_tags({"x": "y" * 512})
    assert a.me.tags == {"zone": "a"}


def test_it_runs_under_uvloop_as_well() -> None:
    async def body() -> None:
        a = Gossip(GossipConfig(name="a", key=KEY))
        await a.start()
        b = Gossip(GossipConfig(name="b", key=KEY, seeds=[a.address]))
        await b.start()
        try:
            await eventually(lambda: knows(a, "a", "b") and knows(b, "a", "b"))
            a.map.put("s", "k", b"v")
            await eventually(lambda: b.map.get("s", "k"))
            await b.leave()
            await eventually(lambda: knows(a, "b", state=State.LEFT))
        finally:
            await a.close()
            await b.close()

    work: Coroutine[Any, Any, None] = body()
    troubles: list[object] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(lambda loop, context: troubles.append(context))
        runner.run(work)
    assert not troubles
