"""Partitions, one-way cuts and heals between real processes on real network namespaces."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.gossip.namespaces import SIDES, Namespaces
from tests.support.wait import wait_until

NEAR, FAR = ["a", "b", "c"], ["x", "y", "z"]
ALIVE = dict.fromkeys(NEAR + FAR, "alive")


def _able() -> bool:
    tools = all(shutil.which(tool) for tool in ("unshare", "nsenter", "ip"))
    if os.geteuid() != 0 or not tools:
        return False
    return subprocess.run(["unshare", "--net", "true"], check=False).returncode == 0


pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not _able(), reason="needs root, unshare, nsenter and ip"),
]


@pytest.fixture
def sides() -> Iterator[Namespaces]:
    """Three members on each side, which all know each other."""
    network = Namespaces()
    try:
        seed = f"{SIDES['near']}:7001"
        for number, name in enumerate(NEAR):
            network.start("near", name, 7001 + number, seed)
        for number, name in enumerate(FAR):
            network.start("far", name, 7001 + number, seed)
        wait_until(network.all_see(NEAR + FAR, ALIVE), within=20)
        yield network
    finally:
        network.close()


def seen(own: list[str], others: list[str]) -> dict[str, str]:
    """What one side sees of the other when that is gone."""
    return dict.fromkeys(own, "alive") | dict.fromkeys(others, "failed")


def test_a_silent_partition_is_seen_by_both_sides_and_heals_within_five_seconds(
    sides: Namespaces,
) -> None:
    for side in SIDES:
        sides.cut(side)
    wait_until(sides.all_see(NEAR, seen(NEAR, FAR)), within=25)
    wait_until(sides.all_see(FAR, seen(FAR, NEAR)), within=25)
    for side in SIDES:
        sides.heal(side)
    wait_until(sides.all_see(NEAR + FAR, ALIVE), within=5)


def test_a_one_way_cut_is_a_cut_for_both_sides_and_heals(sides: Namespaces) -> None:
    sides.cut("far")
    wait_until(sides.all_see(NEAR, seen(NEAR, FAR)), within=25)
    wait_until(sides.all_see(FAR, seen(FAR, NEAR)), within=25)
    sides.heal("far")
    wait_until(sides.all_see(NEAR + FAR, ALIVE), within=5)


def test_a_cut_of_three_seconds_moves_nothing(sides: Namespaces) -> None:
    for side in SIDES:
        sides.cut(side)
    wait_until(lambda: all(sides.children[name].view["x"] == "suspect" for name in NEAR), within=6)
    for side in SIDES:
        sides.heal(side)
    wait_until(sides.all_see(NEAR + FAR, ALIVE), within=10)
