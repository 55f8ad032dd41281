"""Mesh keys changed in the whole mesh by one member, and who is told what."""

import asyncio

import pytest
import zmq

from meshcache.gossip import (
    Event,
    Gossip,
    InvalidSettings,
    KeyNotReady,
    KeyRefused,
    KeysChanged,
    MemberFailed,
    MemberLeft,
    MemberSuspect,
    QueryAsked,
    UserEvent,
)
from meshcache.gossip.keys import derive
from tests.gossip.members import KEY, Start, together
from tests.support.wait import eventually

OLD, NEW = KEY, b"the new key, long enough"
NAMES = "abcdef"


@pytest.fixture
async def six(start: Start) -> list[Gossip]:
    """Six members that know each other, with the old key."""
    members = [await start(NAMES[0])]
    members += [await start(name, members[0]) for name in NAMES[1:]]
    await eventually(lambda: together(members))
    return members


def heard(gossip: Gossip) -> list[Event]:
    """What a member's user is told from now on."""
    events: list[Event] = []
    gossip.subscribe(events.append)
    return events


async def test_three_orders_change_the_key_everywhere_and_nobody_is_suspected(
    six: list[Gossip], start: Start
) -> None:
    told = [heard(member) for member in six]
    leaf = await start("leaf", six[0], role="leaf")
    await eventually(lambda: sum(len(member.leaves()) for member in six) == 2)
    installed = await six[2].rotation.install(NEW)
    leaf_name = f"leaf {leaf.me.uid[:8]} of "
    assert installed.failed == {}
    assert [name for name in installed.done if not name.startswith(leaf_name)] == list(NAMES)
    assert len(installed.done) == len(NAMES) + 1
    used = await six[0].rotation.use(installed.id)
    assert (used.failed, len(used.done)) == ({}, 7)
    assert {member.keys.ids[0] for member in [*six, leaf]} == {derive(NEW).id}
    survey = await six[5].rotation.survey()
    assert [(key.id, key.held_by, key.used_by) for key in survey.keys] == [
        (derive(NEW).id, 7, 7),
        (derive(OLD).id, 7, 0),
    ]
    removed = await six[5].rotation.remove(derive(OLD).id)
    assert (removed.failed, len(removed.done)) == ({}, 7)
    assert [member.keys.ids for member in six] == [[derive(NEW).id]] * 6
    six[0].map.put("s", "after", b"1")
    await eventually(lambda: all(one.map.get("s", "after") for one in [*six, leaf]))
    await asyncio.sleep(3)  # as long as it takes to suspect somebody
    trouble = (MemberFailed, MemberSuspect, MemberLeft)
    assert [event for events in told for event in events if isinstance(event, trouble)] == []
    assert together(six)
    changes = [[e.ids for e in events if isinstance(e, KeysChanged)] for events in told]
    new, old = derive(NEW).id, derive(OLD).id
    assert changes == [[(old, new), (new, old), (new,)]] * 6


async def test_a_key_that_somebody_lacks_is_not_used_and_one_in_use_not_removed(
    six: list[Gossip],
) -> None:
    identity = await six[0].install_key(NEW)
    with pytest.raises(KeyNotReady, match=r"b does not hold it, c does not.*nothing was changed"):
        await six[0].rotation.use(identity)
    with pytest.raises(KeyNotReady, match="a uses it"):
        await six[1].rotation.remove(derive(OLD).id)
    with pytest.raises(InvalidSettings, match="16 bytes"):
        await six[0].rotation.install(b"short")
    assert {member.keys.ids[0] for member in six} == {derive(OLD).id}


async def test_who_does_not_do_it_is_named_with_the_reason(six: list[Gossip]) -> None:
    for number in range(7):
        await six[3].install_key(b"%d is another key of sixteen bytes" % number)
    installed = await six[0].rotation.install(NEW)
    assert installed.done == ["a", "b", "c", "e", "f"]
    assert installed.failed == {"d": "there are 8 keys already: remove one first"}


async def test_gossips_own_names_neither_reach_users_nor_can_be_said_by_them(
    six: list[Gossip],
) -> None:
    told = heard(six[4])
    await six[0].rotation.survey()
    with pytest.raises(InvalidSettings, match="gossip's own"):
        six[0].event("_gossip_keys")
    with pytest.raises(InvalidSettings, match="gossip's own"):
        await six[0].query("_gossip_keys", b"\x00")
    six[0].event("deploy", b"7")
    await eventually(lambda: [e for e in told if isinstance(e, UserEvent)])
    assert not [event for event in told if isinstance(event, QueryAsked)]


async def test_orders_that_make_no_sense_change_nothing(six: list[Gossip]) -> None:
    """A broken member may say anything by the reserved name."""
    for nonsense in (b"", b"\xc1", b"\x92\x01\x02", b"\x92\x02\xa3abc"):
        await six[0]._talk.query(
            "_gossip_keys", nonsense, enough=lambda answers: False, timeout=0.3
        )
    assert [member.keys.ids for member in six] == [[derive(OLD).id]] * 6
    assert together(six)


async def test_a_member_that_comes_back_with_a_removed_key_is_told(
    six: list[Gossip], start: Start
) -> None:
    await six[5].leave()
    living = six[:5]
    new = (await six[0].rotation.install(NEW)).id
    await six[0].rotation.use(new)
    await six[0].rotation.remove(derive(OLD).id)
    late = await start("late", six[0])
    told = heard(late)
    await eventually(lambda: KeyRefused(six[0].address) in told)
    assert len(late.members()) == 1
    assert late.stats()["keys_refused"] >= 1
    await late.close()
    both = await start("both", six[0], other_keys=[NEW])
    await eventually(lambda: together([*living, both]))


async def test_a_member_that_missed_the_rotation_is_dropped(start: Start) -> None:
    a = await start("a")
    b, c = await start("b", a), await start("c", a)
    await eventually(lambda: together([a, b, c]))
    for member in (a, b):
        await member.install_key(NEW)
    for member in (a, b):
        await member.use_key(derive(NEW).id)
        await member.remove_key(derive(OLD).id)
    await eventually(lambda: states(a) == {"a": "alive", "b": "alive", "c": "failed"}, within=15)
    await eventually(lambda: states(b)["c"] == "failed")
    c.map.put("s", "k", b"of an expelled member")
    await asyncio.sleep(0.5)
    assert a.map.get("s", "k") is None


async def test_frames_of_a_removed_key_are_not_read_though_their_connection_stays(
    start: Start,
) -> None:
    """libzmq cannot close one accepted connection: the frames tell which key they came with."""
    a = await start("a", key=NEW, other_keys=[OLD])
    old, new = derive(OLD), derive(NEW)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sock = context.socket(zmq.DEALER)
    try:
        sock.linger = 0
        sock.curve_publickey, sock.curve_secretkey = old.client.public, old.client.secret
        sock.curve_serverkey = new.server.public
        sock.connect(f"tcp://{a.address}")
        sock.send(b"before")
        await eventually(lambda: a.stats()["malformed"] == 1)
        await a.remove_key(old.id)
        sock.send(b"after")
        await eventually(lambda: a.stats()["frames_expelled"] == 1)
        assert a.stats()["malformed"] == 1
    finally:
        context.destroy(linger=0)


def states(gossip: Gossip) -> dict[str, str]:
    return {member.name: str(member.state) for member in gossip.members()}


async def test_changed_keys_are_kept_before_it_is_acknowledged(start: Start) -> None:
    kept: list[list[bytes]] = []

    async def keep(keys: list[bytes]) -> None:
        await asyncio.sleep(0.05)
        kept.append(keys)

    a = await start("a")
    b = await start("b", a, keep_keys=keep)
    await eventually(lambda: together([a, b]))
    assert (await a.rotation.install(NEW)).failed == {}
    assert kept == [[OLD, NEW]]
    await a.rotation.use(derive(NEW).id)
    assert kept[1:] == [[NEW, OLD]]


async def test_a_change_is_told_of_when_it_is_kept_and_not_before(start: Start) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def keep(_: list[bytes]) -> None:
        begun.set()
        await may_end.wait()

    a = await start("a")
    b = await start("b", a, keep_keys=keep)
    await eventually(lambda: together([a, b]))

    async def silent_meanwhile() -> list[str]:
        await begun.wait()
        silent = (await a.rotation.survey()).silent
        may_end.set()
        return silent

    step, silent = await asyncio.gather(a.rotation.install(NEW), silent_meanwhile())
    assert silent == ["b"]
    assert step.failed == {}


async def test_a_changed_role_is_a_new_start_at_the_same_address(start: Start) -> None:
    a = await start("a")
    b = await start("b", a, tags={"x": "1"})
    await eventually(lambda: together([a, b]))
    b.map.put("s", "k", b"v")
    told, uid, address = heard(b), b.me.uid, b.address
    await b.change_role("leaf")
    assert b.address == address and b.me.uid != uid
    assert b.me.tags == {"x": "1"}
    entry = b.map.get("s", "k")
    assert entry is not None and entry.value == b"v"
    await eventually(lambda: [leaf.name for leaf in a.leaves()] == ["b"])
    assert states(a) == {"a": "alive", "b": "left"}
    a.event("deploy")
    await eventually(lambda: any(isinstance(event, UserEvent) for event in told))
    await b.change_role("full")
    await eventually(lambda: together([a, b]))
    await eventually(lambda: not a.leaves())
