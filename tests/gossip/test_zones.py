"""Cuts between zones, whole zones that die: what each member comes to see. As scenarios."""

import pytest

from meshcache.gossip.core.events import MemberFailed
from meshcache.gossip.sim.scenario import Scenario
from tests.gossip.meshes import told_of

TWO = """
members 24
zone n0..n11 east
zone n12..n23 west
wait 15s
mark
"""
THREE = """
members 24
zone n0..n7 east
zone n8..n15 west
zone n16..n23 north
wait 15s
mark
"""
SEEDS = range(2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("zones", "cut"), [(TWO, 12), (THREE, 8)], ids=["one of two", "of three"])
def test_a_zone_that_is_cut_off_is_failed_by_the_rest_and_fails_it_and_none_of_its_own(
    zones: str, cut: int, seed: int
) -> None:
    small, large = f"n0..n{cut - 1}", f"n{cut}..n23"
    story = f"""
    cut {small} from {large} as off
    expect {large} agree within 25s
    expect {small} agree within {25 if cut == 12 else 40}s
    heal off
    expect all agree within 5s
    """
    run = Scenario(zones + story, seed=seed).run()
    _own_zone_was_never_failed(run, [range(cut), range(cut, 24)])


@pytest.mark.parametrize("seed", SEEDS)
def test_two_zones_that_lose_each_other_only_fail_nobody_while_a_third_reaches_both(
    seed: int,
) -> None:
    story = """
    cut n0..n7 from n8..n15 as between
    wait 60s
    expect all agree within 1s
    expect nobody failed
    """
    Scenario(THREE + story, seed=seed).run()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_zone_that_loses_its_power_is_failed_by_the_others(seed: int) -> None:
    Scenario(THREE + "off n0..n7\nexpect n8..n23 agree within 25s\n", seed=seed).run()


def test_a_zone_of_one_that_is_cut_off_is_failed_and_comes_back() -> None:
    story = """
    members 12
    zone n0..n10 big
    zone n11 small
    wait 15s
    cut n11 from n0..n10 as off
    expect n0..n10 agree within 10s
    wait 20s
    heal off
    expect all agree within 5s
    """
    Scenario(story, seed=1).run()


def _own_zone_was_never_failed(run: Scenario, sides: list[range]) -> None:
    for side in sides:
        names = {f"n{number}" for number in side}
        within = [process for process in run.network.processes if process.name in names]
        assert not told_of(within, MemberFailed) & names
