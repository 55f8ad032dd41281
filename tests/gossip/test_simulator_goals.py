"""The goals that a simulation can try, at sizes for every test run; the command that shows them."""

from pathlib import Path

import pytest

from meshcache.gossip import simulate
from meshcache.gossip.sim.experiments.runs import RUNS
from meshcache.gossip.sim.goals import MEASURES, Figure, Measure, chosen
from meshcache.gossip.sim.samples import Samples


def taken(measure: Measure, members: int, runs: int) -> Figure:
    """The line at one size, from so many seeds."""
    samples = Samples()
    for _ in samples.collect(measure.wants(members, range(1, runs + 1)), jobs=1):
        pass
    figure = measure.figure(samples, members)
    assert figure is not None
    return figure


QUICK = [(20, goal) for goal in ("G1", "G2", "G3", "G7", "G8", "G9", "G11", "G13")]
SLOW = [
    pytest.param(1000, goal, marks=[pytest.mark.slow, pytest.mark.timeout(900)])
    for goal in ("G1", "G2", "G3", "G9", "G11")
]


@pytest.mark.parametrize(("members", "goal"), [*QUICK, *SLOW])
def test_a_mesh_meets_its_goal(members: int, goal: str) -> None:
    for measure in chosen([goal]):
        figure = taken(measure, members, 2)
        assert figure.verdict == "met", figure


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_members_are_simulated() -> None:
    (measure,) = chosen(["G1"])
    assert taken(measure, 10_000, 1).verdict == "met"


def test_a_figure_over_its_target_is_missed_and_says_by_how_much() -> None:
    figure = Figure(
        goal="G1",
        what="...",
        members=10,
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
    before = kept.read_text()
    assert simulate.main([*arguments, "--save", str(kept), "--markdown"]) == 0
    assert capsys.readouterr().out.count("\n") == 3
    assert kept.read_text() == before, "what was kept was run again"


def test_runs_side_by_side_give_what_runs_in_turn_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["goals", "--goal", "G7", "G8", "--members", "10", "--runs", "2"]
    said = []
    for jobs in "1", "2":
        assert simulate.main([*arguments, "--jobs", jobs]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


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


def test_every_run_is_there_and_every_run_is_of_use() -> None:
    used = {wanted.run for measure in MEASURES for wanted in measure.wants(100, [1])}
    assert used == RUNS.keys()
