"""Partitions, one-way cuts, heals, deaths and stalls between real processes on real network
namespaces."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.gossip.children import Sides
from tests.support.wait import wait_until

NEAR, FAR = ["a", "b", "c"], ["x", "y", "z"]
ALL = NEAR + FAR
ALIVE = dict.fromkeys(ALL, "alive")
VERDICT = 20.0
"""Seconds in which a loaded machine comes to what takes a free one 8."""


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
def sides() -> Iterator[Sides]:
    """Three members on each side, which all know each other."""
    both = Sides()
    try:
        for name in NEAR:
            both.start("near", name)
        for name in FAR:
            both.start("far", name)
        wait_until(both.all_see(ALL, ALIVE), within=20)
        yield both
    finally:
        both.close()


def without(*gone: str) -> list[str]:
    """All but these."""
    return [name for name in ALL if name not in gone]


def seen(own: list[str], others: list[str]) -> dict[str, str]:
    """What one side sees of the other when that is gone."""
    return dict.fromkeys(own, "alive") | dict.fromkeys(others, "failed")


def test_a_silent_partition_is_seen_by_both_sides_and_heals(sides: Sides) -> None:
    sides.network.cut()
    wait_until(sides.all_see(NEAR, seen(NEAR, FAR)), within=VERDICT)
    wait_until(sides.all_see(FAR, seen(FAR, NEAR)), within=VERDICT)
    sides.network.heal()
    wait_until(sides.all_see(ALL, ALIVE), within=VERDICT)


def test_what_one_side_cannot_send_is_a_cut_for_both_and_heals(sides: Sides) -> None:
    sides.network.cut("far")
    wait_until(sides.all_see(NEAR, seen(NEAR, FAR)), within=VERDICT)
    wait_until(sides.all_see(FAR, seen(FAR, NEAR)), within=VERDICT)
    sides.network.heal("far")
    wait_until(sides.all_see(ALL, ALIVE), within=VERDICT)


def test_a_cut_of_two_seconds_moves_nothing_and_a_killed_member_is_dead_at_once(
    sides: Sides,
) -> None:
    sides.network.cut()
    wait_until(lambda: all(sides.children[name].view["x"] == "suspect" for name in NEAR), within=6)
    sides.network.heal()
    wait_until(sides.all_see(ALL, ALIVE), within=VERDICT)
    views = [view for child in sides.children.values() for view in child.views]
    assert not any("failed" in view.values() for view in views)

    sides.signal("z", signal.SIGKILL)
    rest = without("z")
    wait_until(sides.all_see(rest, seen(rest, ["z"])), within=5)  # the hold alone takes 6 s


def test_a_stopped_process_is_suspect_then_failed_and_comes_back(sides: Sides) -> None:
    sides.signal("y", signal.SIGSTOP)
    rest = without("y")
    wait_until(sides.all_see(rest, seen(rest, ["y"])), within=VERDICT)
    for name in rest:
        states = [view.get("y") for view in sides.children[name].views]
        assert "suspect" in states[: states.index("failed")], f"{name} saw no suspicion"
    sides.signal("y", signal.SIGCONT)
    wait_until(sides.all_see(ALL, ALIVE), within=VERDICT)
