"""The goals that a simulation can try, at sizes for every test run; the command that shows them."""

from pathlib import Path

import pytest

from meshcache.gossip import simulate
from meshcache.gossip.sim.goals import MEASURES, Figure, chosen


@pytest.mark.parametrize("goal", ["G1", "G2", "G3", "G7", "G8", "G9", "G11", "G13"])
def test_a_mesh_of_twenty_meets_its_goal(goal: str) -> None:
    for measure in chosen([goal]):
        figure = measure.take(20, 1, 2)
        assert figure.verdict == "met", figure


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("goal", ["G1", "G2", "G3", "G9", "G11"])
def test_a_mesh_of_a_thousand_meets_its_goal(goal: str) -> None:
    for measure in chosen([goal]):
        figure = measure.take(1000, 1, 2)
        assert figure.verdict == "met", figure


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_members_are_simulated() -> None:
    (measure,) = chosen(["G1"])
    assert measure.take(10_000, 1, 1).verdict == "met"


def test_a_figure_over_its_target_is_missed_and_says_by_how_much() -> None:
    figure = Figure(
        goal="G1",
        what="...",
        members=10,
        seed=1,
        target=1.0,
        judged="worst",
        ours=[0.5, 1.25],
        theirs=[],
    )
    assert figure.verdict == "missed: 1.25 over 1"


def test_the_command_prints_keeps_and_shows_figures_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "figures.jsonl"
    arguments = ["goals", "--goal", "G1", "--members", "10", "--runs", "2"]
    assert simulate.main([*arguments, "--save", str(kept)]) == 0
    first = capsys.readouterr().out
    assert "G1" in first
    assert "met" in first
    assert simulate.main(["goals", str(kept)]) == 0
    assert capsys.readouterr().out == first


def test_figures_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    kept = tmp_path / "figures.jsonl"
    arguments = ["--members", "10", "20", "--runs", "1", "--save", str(kept)]
    assert simulate.main(["goals", "--goal", "G1", "G7", *arguments]) == 0
    assert simulate.main(["goals", str(kept), "--draw", str(tmp_path)]) == 0
    drawn = sorted(path.name for path in tmp_path.glob("*.png"))
    assert drawn == ["gossip-detection.png", "gossip-events.png"]


def test_every_goal_that_a_simulation_can_try_is_in_the_table() -> None:
    goals = {measure.goal for measure in MEASURES}
    assert goals == {f"G{number}" for number in (1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 15)}
