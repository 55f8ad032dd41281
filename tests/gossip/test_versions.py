"""What two members that differ say to each other, and to their users."""

from meshcache.gossip import wire
from meshcache.gossip.core.events import Incompatible
from meshcache.gossip.core.greeting import common_version
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process
from tests.gossip.meshes import agreed, events, mesh


def test_the_highest_version_that_both_speak_is_spoken() -> None:
    assert common_version((1, 3), (2, 5)) == 3
    assert common_version((2, 2), (1, 4)) == 2
    assert common_version((1, 1), (2, 5)) is None


def test_members_of_overlapping_versions_speak_the_highest_common_one() -> None:
    network = Network(1)
    old = network.start("old", seeds=["new:1"], speaks=(1, 2))
    new = network.start("new", seeds=["new:1"], speaks=(2, 4))
    assert network.run_until(agreed([old, new]), 10)
    (link,) = old.node.links.by_peer[new.uid]
    assert link.version == 2
    assert new.node.members.table.rows[old.uid].record.speaks == (1, 2)


def test_both_sides_say_clearly_that_they_have_no_version_in_common() -> None:
    network = Network(1)
    old = network.start("old", seeds=["new:1"], speaks=(1, 2))
    new = network.start("new", speaks=(3, 4))
    network.run(60)
    assert agreed([old])()
    assert agreed([new])()
    (told,), (told_too,) = events(old, Incompatible), events(new, Incompatible)
    assert isinstance(told, Incompatible)
    assert isinstance(told_too, Incompatible)
    assert (told.address, told.mine, told.theirs) == ("new:1", (1, 2), (3, 4))
    assert (told_too.address, told_too.mine, told_too.theirs) == ("old:1", (3, 4), (1, 2))
    assert told.detail == "this member speaks versions 1 to 2 of the protocol, that 3 to 4"
    assert old.node.context.counts["incompatible"] > 1  # tried again and again, told once


def patched(network: Network, process: Process, place: int, value: int) -> None:
    """The process receives a beat in whose header one byte is another."""
    node = process.node
    number = next(iter(node.links.by_number))
    frame = bytearray(wire.encode(wire.Beat(), mesh=node.context.mesh, to=node.uid))
    frame[place] = value
    network.act(process, lambda now: node.receive(number, bytes(frame), now))


def test_a_frame_of_a_version_that_cannot_be_read_is_told_once_and_counted() -> None:
    network, processes = mesh(2)
    for _ in range(3):
        patched(network, processes[0], 2, 9)
    assert processes[0].node.context.counts["incompatible"] == 3
    assert len(events(processes[0], Incompatible)) == 1
    assert agreed(processes)()


def test_what_a_member_lacks_the_feature_for_is_not_sent_to_it() -> None:
    network = Network(2)
    plain = [network.start(f"n{index}", seeds=["n0:1"], features=0) for index in range(6)]
    able = [network.start(f"n{index}", seeds=["n0:1"]) for index in range(6, 9)]
    assert network.run_until(agreed([*plain, *able]), 20)
    network.run(3)
    asker = able[0]
    inquiries, rings = asker.node.members.detection.inquiries, asker.node.members.rings
    others = {process.uid for process in able[1:]}
    subject = next(one for one in plain if others & set(rings.observers(one.uid)))
    network.act(asker, lambda now: inquiries.agree(subject.uid))
    inquiry = inquiries.open[subject.uid]
    assert inquiry.answers
    assert inquiry.answers.keys() <= others
    network.run(1)
    assert set(inquiry.answers.values()) == {True}


def test_kinds_of_frames_that_are_not_known_are_counted_and_nothing_else() -> None:
    network, processes = mesh(2)
    patched(network, processes[0], 3, 200)
    assert processes[0].node.context.counts["unknown_kind"] == 1
    assert agreed(processes)()
