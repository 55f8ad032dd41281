"""The simulator's worse networks: frames twice and out of order, one-way loss, clocks, churn."""

import pytest

from meshcache.gossip import wire
from meshcache.gossip.core.events import MemberFailed
from meshcache.gossip.sim.chaos import scenario
from meshcache.gossip.sim.checkers import Checkers, Unsafe
from meshcache.gossip.sim.process import Process
from meshcache.gossip.sim.scenario import Scenario
from tests.gossip.meshes import mesh

CHURN = """
clocks within 60s
members 30
put n3 key value
churn 30 a minute for 60s
expect all agree within 10s
expect same map within 15s
"""
DEAF = """
members 30
cut all to n5 as deaf for 20s of 40s
expect n0..n4,n6..n29 see n5 failed within 15s
wait 60s
heal deaf
lose 80% from n6 to all as faint
expect n0..n4,n7..n29 see n6 failed within 40s
heal faint
expect all agree within 400s
"""


FAR = """
latency 20..100ms
members 20
mark
event n3 hello
kill n4
expect n0..n3 see n4 failed within 2s
latency 0.2..1ms
wait 10s
expect all agree within 1s
"""


def test_a_mesh_with_a_tenth_of_a_second_between_members_agrees() -> None:
    run = Scenario(FAR, seed=1).run()
    assert {event.member.name for one in run.living for event in failures(one)} == {"n4"}


def failures(process: Process) -> list[MemberFailed]:
    return [event for _, event in process.events if isinstance(event, MemberFailed)]


def test_names_and_addresses_that_change_hands_confuse_nobody() -> None:
    run = Scenario(CHURN, seed=2).run()
    assert len(run.network.processes) > 50


def test_members_that_lose_one_direction_are_failed_and_come_back_in_the_end() -> None:
    run = Scenario(DEAF, seed=1).run()
    assert run.network.now > 100


@pytest.mark.parametrize("seed", range(4))
def test_frames_that_come_twice_late_or_out_of_order_break_no_rule(seed: int) -> None:
    faults = "clocks within 30s\nduplicate 5%\nreorder 2%\n"
    quiet = "duplicate 0%\nreorder 0%\nexpect all agree"
    text = faults + scenario(seed, steps=8).replace("expect all agree", quiet, 1)
    Scenario(text, seed=seed).run()


def test_an_event_that_comes_again_is_noticed() -> None:
    network, processes = mesh(3)
    Checkers(network)
    speaker, hearer = processes[:2]
    network.act(speaker, lambda now: speaker.node.say("e", b"1", now))
    network.run(1)
    word = wire.Happened(speaker.uid, 1, "e", b"1")
    link = next(iter(hearer.node.links.open()))
    with pytest.raises(Unsafe, match="came again"):
        network.act(hearer, lambda now: hearer.node.happenings.hear(word, link))
