"""A member that holds the key and means harm: it can do nothing beyond its own membership but be
counted. Every kind of frame, well-formed, with hostile contents, over the foe's own open link.

(What it can do all the same is in docs/gossip.md: it can speak in another's name, for there are no
signatures; whoever is spoken for denies it.)
"""

from collections.abc import Callable

import msgspec
import pytest

from meshcache.gossip import wire
from meshcache.gossip.core.events import (
    MemberFailed,
    MemberJoined,
    MemberSuspect,
    QueryAsked,
    QueryReply,
)
from meshcache.gossip.core.settings import Settings
from meshcache.gossip.core.statemap import ANY
from meshcache.gossip.core.verdicts import HEARD, REFUSED, SILENT, STRANGERS
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process
from tests.gossip.meshes import agreed, events, mesh, others, told_of

FUTURE = 2**63 - 1


def say(network: Network, foe: Process, victim: Process, *messages: wire.Message) -> None:
    """Have `victim` read these messages from its link to `foe`."""
    link = victim.node.links.of(foe.uid)
    assert link is not None
    for message in messages:
        frame = wire.encode(message, mesh=victim.node.context.mesh, to=victim.uid)
        number = link.number
        network.act(victim, lambda now, f=frame, n=number: victim.node.receive(n, f, now))  # type: ignore[misc]


def rumours(*words: wire.Rumour) -> wire.Rumours:
    return wire.Rumours([msgspec.Raw(wire.encode_rumour(word)) for word in words])


def neighbours(
    size: int = 12, settings: Settings | None = None
) -> tuple[Network, list[Process], Process, Process, Process]:
    """A mesh; a foe in it, a neighbour of the foe, and a third whom the foe wants to harm."""
    network, processes = mesh(size, settings=settings or Settings())
    foe = processes[0]
    near = next(one for one in processes[1:] if foe.uid in one.node.links.wanted)
    target = next(one for one in processes[1:] if one is not near)
    return network, processes, foe, near, target


def nobody_was_harmed(processes: list[Process]) -> None:
    assert agreed(processes)()
    assert not any(events(process, MemberFailed) for process in processes)
    assert len({process.node.map.digest.total for process in processes}) == 1


LIES: dict[str, Callable[[Process], wire.Rumour]] = {
    "dead, silent": lambda one: wire.Dead(one.uid, one.node.members.me.incarnation, 1),
    "dead, refused": lambda one: wire.Dead(one.uid, one.node.members.me.incarnation, 2),
    "dead, replaced": lambda one: wire.Dead(one.uid, one.node.members.me.incarnation, 3),
    "dead in a later incarnation": lambda one: wire.Dead(one.uid, 1000, 1),
    "dead in the last incarnation": lambda one: wire.Dead(one.uid, 2**32 - 1, 1),
    "left": lambda one: wire.Gone(one.uid, one.node.members.me.incarnation + 1),
    "left in the last incarnation": lambda one: wire.Gone(one.uid, 2**32 - 1),
    "elsewhere": lambda one: wire.Alive(
        msgspec.structs.replace(one.node.members.me, address="foe:1", incarnation=5)
    ),
    "other tags in the same incarnation": lambda one: wire.Alive(
        msgspec.structs.replace(one.node.members.me, tags={"zone": "foe"})
    ),
    "in the last incarnation": lambda one: wire.Alive(
        msgspec.structs.replace(one.node.members.me, address="foe:1", incarnation=2**32 - 1)
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_another_member_is_denied_and_changes_nothing(lie: str) -> None:
    network, processes, foe, near, target = neighbours()
    say(network, foe, near, rumours(LIES[lie](target)))
    network.run(20)
    nobody_was_harmed(processes)
    for process in processes:
        row = process.node.members.table.rows[target.uid]
        assert row.record == target.node.members.me
    counts = [process.node.context.counts for process in processes]
    told = sum(count["hostile"] + count["refutations"] for count in counts)
    assert told > 0 or lie == "other tags in the same incarnation"  # no news: not even passed on


def test_lies_about_a_member_that_are_rows_of_a_table_are_denied_too() -> None:
    network, processes, foe, near, target = neighbours()
    me = target.node.members.me
    rows = [wire.Row(me, 1, me.incarnation, 1), wire.Row(me, 2, me.incarnation + 1, FUTURE)]
    say(network, foe, near, wire.Rows(rows, []), wire.Rows([wire.Row(me, 7, 9, 9)], []))
    network.run(20)
    nobody_was_harmed(processes)


@pytest.mark.parametrize("kind", [SILENT, REFUSED])
def test_alerts_of_members_that_are_no_observers_count_for_nothing_and_are_few(kind: int) -> None:
    network, processes, foe, near, target = neighbours(40)
    observers = set(near.node.members.rings.observers(target.uid))
    strangers = [one for one in processes if one.uid not in observers and one is not target]
    words = [wire.Alert(target.uid, 0, one.uid, 5, kind) for one in strangers]
    words += [wire.Alert(target.uid, 0, bytes([n]) * 16, 5, kind) for n in range(200)]
    say(network, foe, near, rumours(*words))
    case = near.node.members.detection.verdicts.cases[target.uid]
    assert len(case.alerts) <= STRANGERS + 5
    assert near.node.context.counts["alerts_refused"] > 100
    network.run(20)
    nobody_was_harmed(processes)
    assert not any(events(process, MemberSuspect) for process in processes)


def test_alerts_in_the_names_of_the_observers_are_disowned_by_them() -> None:
    network, processes, foe, near, target = neighbours(20)
    for _ in range(5):
        words = [
            wire.Alert(target.uid, target.node.members.me.incarnation, uid, 10**6, SILENT)
            for uid in near.node.members.rings.observers(target.uid)
        ]
        say(network, foe, near, rumours(*words))
        network.run(4)
    network.run(10)
    nobody_was_harmed(processes)
    accused = [process.node.standing(target.uid).accusers for process in processes]
    assert not any(accused)
    assert HEARD == 0


def test_a_hello_in_anothers_name_over_an_open_link_is_not_listened_to() -> None:
    network, processes, foe, near, target = neighbours()
    record = msgspec.structs.replace(target.node.members.me, address="foe:1", incarnation=3)
    say(
        network,
        foe,
        near,
        wire.Hello(record, (1, 1), 0, False),
        wire.Hello(record, (1, 1), 0, True),
    )
    assert near.node.context.counts["hostile"] == 2
    link = near.node.links.of(foe.uid)
    assert link is not None
    assert link.peer == foe.uid
    network.run(5)
    nobody_was_harmed(processes)


@pytest.mark.parametrize("clock", [FUTURE, (2 * 10**12) << 16])
def test_a_write_with_a_clock_far_ahead_is_refused(clock: int) -> None:
    network, processes, foe, near, _ = neighbours()
    network.act(near, lambda now: near.node.write("s", "k", b"mine", ANY, now))
    entry = wire.MapEntry("s", "k", b"foe", clock, foe.uid)
    say(network, foe, near, rumours(wire.Written(entry)), wire.Rows([], [entry]))
    network.run(20)
    nobody_was_harmed(processes)
    found = processes[-1].node.map.get("s", "k")
    assert found is not None
    assert found.value == b"mine"


def test_a_floor_of_the_future_deletes_nothing() -> None:
    network, processes, foe, near, _ = neighbours()
    node = near.node
    digest = wire.Digest(node.members.table.digest.total, node.map.digest.total, FUTURE)
    say(network, foe, near, digest)
    assert node.map.floor == 0
    network.act(processes[-1], lambda now: processes[-1].node.write("s", "k", b"1", ANY, now))
    network.run(2)
    assert node.map.get("s", "k") is not None


def test_a_flood_of_frames_is_cut_off_and_counted() -> None:
    network, processes, foe, near, _ = neighbours()
    say(network, foe, near, *[wire.Beat()] * 6000)
    assert near.node.context.counts["flooded"] > 1500
    network.run(5)
    nobody_was_harmed(processes)


def test_who_asks_for_tables_all_the_time_gets_few_of_them() -> None:
    network, processes, foe, near, _ = neighbours()
    sent = near.node.context.counts["bytes_sent"]
    other = b"12345678"
    say(network, foe, near, *[wire.Digest(other, other)] * 300)
    say(network, foe, near, *[wire.Differ(bytes(2048), bytes(2048))] * 300)
    say(network, foe, near, *[wire.Rows([], [], bytes(range(256)), bytes(range(256)))] * 300)
    assert near.node.context.counts["syncs_refused"] > 850
    assert near.node.context.counts["bytes_sent"] - sent < 100_000
    network.run(5)
    nobody_was_harmed(processes)


def test_names_of_rumours_that_never_come_are_few_and_forgotten() -> None:
    network, processes, foe, near, _ = neighbours()
    for start in range(0, 40_000, 4000):
        names = [number.to_bytes(8, "big") for number in range(start, start + 4000)]
        say(network, foe, near, wire.Ihave(names))
    spread = near.node.spread
    assert len(spread._named_by) <= 4096
    assert near.node.context.counts["names_refused"] > 0
    network.run(5)
    assert not spread._named_by
    assert not spread._named
    nobody_was_harmed(processes)


def test_who_grafts_everything_again_and_again_fills_no_queue() -> None:
    network, processes, foe, near, _ = neighbours()
    for number in range(200):
        network.act(near, lambda now, n=number: near.node.write("s", f"{n}", bytes(4000), ANY, now))  # type: ignore[misc]
    link = near.node.links.of(foe.uid)
    assert link is not None
    names = list(near.node.spread._known)
    for _ in range(50):
        near.node.spread.on_graft(link, wire.Graft(names))
    limit = near.node.context.settings.queue_bytes
    assert all(queue.size <= limit for queue in near.node.spread.queues)
    network.act(near, lambda now: None)
    network.run(30)
    nobody_was_harmed(processes)


def test_thousands_of_members_that_never_lived_make_room_for_the_next_real_one() -> None:
    network, processes, foe, near, _ = neighbours(8, Settings(members=60))
    dice = network.random
    for _ in range(4):
        dead = [
            wire.Row(wire.Record(dice.randbytes(16), "x", "x:1", 1, 0, 0, {}), 1, 0, FUTURE)
            for _ in range(100)
        ]
        say(network, foe, near, wire.Rows(dead, []))
        assert len(near.node.members.table.rows) <= 60
    late = network.start("late", seeds=[f"{near.name}:1"], settings=Settings(members=60))
    assert network.run_until(agreed([*processes, late]), network.now + 10)


def test_living_members_that_never_lived_are_soon_failed() -> None:
    network, processes, foe, near, _ = neighbours(8)
    ghosts = [
        wire.Alive(wire.Record(network.random.randbytes(16), f"g{n}", f"g{n}:1", 1, 0, 0, {}))
        for n in range(30)
    ]
    say(network, foe, near, rumours(*ghosts))
    network.run(0.1)
    assert len(near.node.members.table.living) == 38
    assert network.run_until(agreed(processes), network.now + 60)
    assert not told_of(processes, MemberFailed) & {process.name for process in processes}
    assert len(events(near, MemberJoined)) >= 30


def test_answers_to_what_nobody_asked_reach_no_user() -> None:
    network, _processes, foe, near, _ = neighbours()
    say(network, foe, near, wire.Reply(near.uid, 99, foe.uid, b"psst"))
    assert not events(near, QueryReply)
    assert near.node.context.counts["hostile"] == 1


def test_a_flood_of_queries_in_anothers_name_brings_few_answers() -> None:
    network, processes, foe, near, target = neighbours()
    words = [wire.Happened(target.uid, 10**6 + n, "q", b"", True, [], True) for n in range(1000)]
    say(network, foe, near, rumours(*words))
    network.run(1)
    for process in others(processes, target):
        assert len(events(process, QueryAsked)) <= 300
    assert not events(target, QueryReply)
    nobody_was_harmed(processes)


def test_a_seed_that_sends_everybody_on_for_ever_is_not_followed_for_ever() -> None:
    network = Network(1)
    victim = network.start("victim", seeds=["foe0:1"])
    joining = victim.node.joining
    for number in range(200):
        network.act(victim, lambda now, n=number: joining.redirected([f"foe{n}:1", f"x{n}:1"]))  # type: ignore[misc]
    assert victim.node.context.counts["dials"] <= 40
    assert victim.node.context.counts["redirects_refused"] > 150


def test_who_asks_about_everybody_makes_few_dials() -> None:
    network, processes, foe, near, _ = neighbours(20)
    before = near.node.context.counts["dials"]
    asks = [wire.Reach(n, processes[n % 20].uid) for n in range(500)]
    asks += [wire.Reach(n, bytes([n]) * 16) for n in range(100)]
    say(network, foe, near, *asks)
    assert near.node.context.counts["dials"] - before <= 20
    assert all(
        len(questions) <= 64 for questions in near.node.members.detection.answers.waiting.values()
    )
    network.run(5)
    assert not near.node.members.detection.answers.waiting
    nobody_was_harmed(processes)


def test_a_leaf_in_a_members_name_is_not_served() -> None:
    network, _processes, _foe, near, target = neighbours()
    record = msgspec.structs.replace(target.node.members.me, role=1)
    frame = wire.encode(
        wire.Hello(record, (1, 1), 0, False), mesh=near.node.context.mesh, to=wire.NOBODY
    )
    network.act(near, lambda now: near.node.receive(-999, frame, now))
    assert not near.node.host.leases
    link = near.node.links.of(target.uid)
    assert link is None or link.number != -999


def test_more_links_than_a_member_may_have_are_not_opened() -> None:
    network, processes = mesh(3, settings=Settings(links=20))
    node = processes[0].node
    for number in range(100):
        record = wire.Record(bytes([number]) * 16, "leaf", "l:1", 1, 0, 1, {})
        hello = wire.Hello(record, (1, 1), 0, False)
        frame = wire.encode(hello, mesh=node.context.mesh, to=wire.NOBODY)
        network.act(processes[0], lambda now, n=number, f=frame: node.receive(-1000 - n, f, now))  # type: ignore[misc]
    assert len(node.links.by_number) <= 20
    assert node.context.counts["links_refused"] >= 80
    assert agreed(processes)()
