"""Coming back after having been failed: at once, but not again and again for own trouble."""

from collections.abc import Callable

import pytest

from meshcache.gossip.core.events import MemberFailed, State
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process
from tests.gossip.meshes import agreed, all_see, cut, mesh, observers, others, stalled, told_of


def _deaf_for_20_s(network: Network, process: Process) -> None:
    def deaf(source: str, target: str) -> bool:
        return target == process.address

    network.faults.cuts.append(deaf)
    network.run(20)
    network.faults.cuts.remove(deaf)


def _unheard_by(network: Network, process: Process, by: list[Process]) -> Callable[[], None]:
    """Cut the way from one to those; the call that heals."""
    deaf = {one.address for one in by}

    def cut(source: str, target: str) -> bool:
        return source == process.address and target in deaf

    network.faults.cuts.append(cut)
    return lambda: network.faults.cuts.remove(cut)


def test_a_member_that_is_deaf_again_and_again_comes_back_once_in_five_minutes() -> None:
    network, processes = mesh(20)
    bad, rest = processes[5], others(processes, processes[5])
    _deaf_for_20_s(network, bad)
    assert network.run_until(all_see(rest, bad, State.ALIVE), network.now + 20)
    back = network.now
    _deaf_for_20_s(network, bad)
    network.run(20)
    assert all_see(rest, bad, State.FAILED)()
    bad.node.set_tags({"while": "away"}, network.now)
    network.run(back + 310 - network.now)
    assert all_see(rest, bad, State.FAILED)()
    assert network.run_until(agreed(processes), back + 350)
    assert told_of(rest, MemberFailed) == {bad.name}, "one that does not hear has failed others"
    network.run(1)
    assert rest[0].node.members.view(bad.uid).tags == {"while": "away"}


def test_nobody_waits_after_a_partition_however_often_it_comes() -> None:
    network, processes = mesh(20)
    for _ in range(3):
        heal = cut(network, processes[:10])
        network.run(30)
        heal()
        assert network.run_until(agreed(processes), network.now + 10)


@pytest.mark.parametrize("apart", [3, 5])
def test_nor_does_the_smaller_side_of_a_short_one(apart: int) -> None:
    network, processes = mesh(20)
    for seconds in 9, 12, 20:
        heal = cut(network, processes[:apart])
        network.run(seconds)
        heal()
        assert network.run_until(agreed(processes), network.now + 5), f"cut for {seconds} s"
        network.run(10)


@pytest.mark.parametrize("members", [10, 20])
def test_nor_does_who_was_alone_for_longer_than_trouble_of_its_own_is_likely(members: int) -> None:
    network, processes = mesh(members)
    for seconds in 45, 60, 90:
        heal = cut(network, [processes[5]])
        network.run(seconds)
        heal()
        assert network.run_until(agreed(processes), network.now + 5), f"cut for {seconds} s"
        network.run(10)


def test_who_is_failed_by_one_that_was_cut_off_denies_it_though_it_has_stood_still_lately() -> None:
    network, processes = mesh(20)
    rest = others(processes, processes[5])
    for _ in range(2):  # the second time it has denied lately as well
        heal = cut(network, [processes[5]])
        network.run(60)
        stalled(network, rest, 0.7)
        network.run(5)
        heal()
        assert network.run_until(agreed(processes), network.now + 5)
        network.run(10)
    assert told_of(rest, MemberFailed) == {processes[5].name}


def test_a_new_process_in_the_place_of_a_failed_one_does_not_wait() -> None:
    network, processes = mesh(12)
    bad = processes[3]
    _deaf_for_20_s(network, bad)
    network.kill(bad)
    processes[3] = network.start(bad.name, address=bad.address, seeds=["n0:1"])
    assert network.run_until(agreed(processes), network.now + 5)


@pytest.mark.parametrize("seconds", [5, 12])
def test_what_observers_say_that_were_suspect_or_failed_lately_is_no_sign_of_own_trouble(
    seconds: float,
) -> None:
    """A third that gets little CPU: now and then it is most of those that observe a member."""
    network, processes = mesh(20)
    member = processes[5]
    starving = observers(processes, member)[:3]
    for _ in range(2):
        stalled(network, starving, seconds)
        network.run(5)
        heal = _unheard_by(network, member, starving)
        network.run(12)
        heal()
        network.run(5)
    assert member.node.context.counts["refutations"] >= 2, "it had something to deny, twice"
    assert member.name not in told_of(processes, MemberFailed)
