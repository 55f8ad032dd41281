"""Rumours, events and queries: each reaches everybody once, and little is sent twice."""

import pytest

from meshcache.gossip.core.events import QueryAsked, QueryReply, UserEvent
from meshcache.gossip.core.rumours import Queue
from meshcache.gossip.core.statemap import ANY
from tests.gossip.meshes import cut, events, mesh


@pytest.mark.parametrize("size", [2, 5, 40])
def test_an_event_reaches_every_member_once(size: int) -> None:
    network, processes = mesh(size)
    processes[1].node.say("deploy", b"v2", network.now)
    network.act(processes[1], lambda now: None)
    network.run(2)
    expected = [UserEvent(processes[1].uid.hex(), "deploy", b"v2")]
    for process in processes:
        if process is not processes[1]:
            assert events(process, UserEvent) == expected


def test_events_reach_everybody_though_a_fifth_of_the_segments_is_lost() -> None:
    network, processes = mesh(40, loss=0.2)
    for number in range(5):
        processes[number].node.say(f"event {number}", b"", network.now)
        network.act(processes[number], lambda now: None)
    network.run(10)
    for process in processes:
        names = {event.name for event in events(process, UserEvent) if isinstance(event, UserEvent)}
        own = {f"event {processes.index(process)}"} if processes.index(process) < 5 else set()
        assert names | own == {f"event {number}" for number in range(5)}


def test_an_event_reaches_also_who_was_cut_off_for_a_while_and_nobody_twice() -> None:
    network, processes = mesh(20)
    alone = processes[7]
    heal = cut(network, [alone])
    network.run(1)
    network.act(processes[3], lambda now: processes[3].node.say("deploy", b"v2", now))
    network.run(9)  # long enough to be failed, and to have its links closed
    assert not events(alone, UserEvent)
    heal()
    assert network.run_until(lambda: bool(events(alone, UserEvent)), network.now + 15)
    network.run(300)
    for process in processes:
        if process is not processes[3]:
            assert len(events(process, UserEvent)) == 1


def test_the_tree_carries_about_one_copy_to_each_member() -> None:
    network, processes = mesh(60)
    for round_ in range(20):  # the first ones flood and prune
        processes[round_].node.say("warm", b"", network.now)
        network.act(processes[round_], lambda now: None)
        network.run(1)
    before = sum(
        process.node.context.counts["rumours_fresh"] + process.node.context.counts["rumours_known"]
        for process in processes
    )
    for round_ in range(20):
        processes[20 + round_].node.say("measured", b"", network.now)
        network.act(processes[20 + round_], lambda now: None)
        network.run(1)
    after = sum(
        process.node.context.counts["rumours_fresh"] + process.node.context.counts["rumours_known"]
        for process in processes
    )
    assert (after - before) / 20 / 59 <= 1.3


def test_a_query_is_acknowledged_and_answered_along_the_way_it_came() -> None:
    network, processes = mesh(30)
    asker = processes[7]
    number = asker.node.say("who", b"?", network.now, query=True, acks=True)
    network.act(asker, lambda now: None)
    network.run(1)
    for process in processes:
        for event in events(process, QueryAsked):
            assert isinstance(event, QueryAsked)
            process.node.answer(asker.uid, number, process.name.encode(), network.now)
            network.act(process, lambda now: None)
    network.run(1)
    replies = [event for event in events(asker, QueryReply) if isinstance(event, QueryReply)]
    assert len([event for event in replies if event.payload is None]) == 29
    assert {event.payload for event in replies if event.payload is not None} == {
        process.name.encode() for process in processes if process is not asker
    }


def test_a_query_may_ask_some_only() -> None:
    network, processes = mesh(12)
    asked = [processes[3].uid, processes[4].uid]
    processes[0].node.say("who", b"", network.now, query=True, to=asked)
    network.act(processes[0], lambda now: None)
    network.run(1)
    told = [process for process in processes if events(process, QueryAsked)]
    assert told == [processes[3], processes[4]]


def test_a_full_queue_drops_the_oldest_of_the_least_urgent_and_keeps_the_newest_of_a_key() -> None:
    queue = Queue(limit=30)
    assert queue.put((1, "entry", "a"), b"old" * 3) == 0
    assert queue.put((1, "entry", "a"), b"new" * 3) == 0
    assert len(queue) == 1
    queue.put((2, "event", 1), b"e" * 9)
    queue.put((0, "end", b"x"), b"d" * 9)
    assert queue.put((0, "end", b"y"), b"D" * 9) == 1  # the event goes
    assert queue.take() == [b"d" * 9, b"D" * 9, b"new" * 3]
    assert queue.size == len(queue) == 0


def test_what_a_cut_link_could_not_carry_is_bounded_and_repaired() -> None:
    network, processes = mesh(6)
    alone = processes[5]
    heal = cut(network, [alone])
    for number in range(600):
        processes[0].node.write("s", f"k{number % 40}", bytes(1000), ANY, network.now)
        network.act(processes[0], lambda now: None)
        network.run(0.005)
    for process in processes[:5]:
        for queue in process.node.spread._eager_queue.values():
            assert queue.size <= process.node.context.settings.queue_bytes
    heal()
    network.run(30)
    assert len({process.node.map.digest.total for process in processes}) == 1
