"""Curves of cost are kept and drawn; placement's are right where arithmetic tells them."""

from pathlib import Path

import pytest

from benchmarks.growth import __main__ as program
from benchmarks.growth import agents, files, placement, plots
from benchmarks.growth.points import Growth, Point, load, save
from benchmarks.machine import this_machine

FIGURES = {
    "agents": (agents.TOGETHER, ("seconds", "origin", "cpu_per_gib")),
    "files": (
        files.CURVE,
        ("listed", "cpu", "mounted", "lister", "worker", "mapped", "names", "stat"),
    ),
    "placement": (placement.CURVE, ("rank_us", "make_us", "moved", "most_over_mean")),
}


@pytest.mark.parametrize("kind", FIGURES)
def test_points_are_kept_and_drawn(kind: str, tmp_path: Path) -> None:
    curve, names = FIGURES[kind]
    growth = Growth(kind, "2026-01-01", this_machine(), program.KINDS[kind])
    growth.points = [Point(curve, size, dict.fromkeys(names, float(size))) for size in (10, 1)]
    save(growth, tmp_path)
    kept = load(tmp_path, kind)
    assert kept == growth
    assert kept.figures(curve, names[0]) == [(1, 1.0), (10, 10.0)]
    (file,) = plots.draw(tmp_path)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_nothing_measured_is_nothing_drawn(tmp_path: Path) -> None:
    assert plots.draw(tmp_path) == []


def test_a_join_moves_what_the_newcomer_owns_and_no_more() -> None:
    points: list[Point] = []
    placement.measure((1, 20), points.append)
    one, twenty = (point.figures for point in points)
    assert one["most_over_mean"] == 1.0
    # The newcomer owns 100 blocks of 200, of 2100; the deviation is 7, then 10.
    assert one["moved"] == pytest.approx(1.0, abs=0.35)
    assert twenty["moved"] == pytest.approx(1.0, abs=0.5)
