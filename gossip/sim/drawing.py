"""Plots of figures. The only part that needs matplotlib (the extra `sim`)."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from meshcache.gossip.errors import GossipError
from meshcache.gossip.sim.experiments.anomalies import GRID
from meshcache.gossip.sim.goals import Figure

_WIDE, _HIGH, _DPI = 6.4, 4.0, 90
_OURS, _THEIRS, _TARGET = "#1f6fb4", "#c8553d", "#777777"


class DrawingUnavailable(GossipError):
    """Raised when matplotlib is not installed."""


def draw(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Draw detection, events, idle and grid, each if there are figures for it; the files made.

    Raises:
        DrawingUnavailable: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise DrawingUnavailable("drawing needs matplotlib: pip install 'meshcache[sim]'") from None
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, title, unit, goals in (
        ("detection", "A member dies: when do all know?", "seconds, worst run", ("G1", "G2", "G3")),
        ("events", "An event: when do all have it?", "seconds, worst run", ("G7",)),
        ("idle", "At rest", "bytes sent per member and second", ("G9",)),
    ):
        lines = [one for one in figures if one.goal in goals and "median" not in one.what]
        if lines:
            made.append(_by_size(lines, title, unit, folder / f"gossip-{name}.png"))
    grid = [one for one in figures if one.goal == "G4" and "healthy" not in one.what]
    if grid:
        made.append(_draw_grid(grid, folder / "gossip-grid.png"))
    return made


def _by_size(figures: Sequence[Figure], title: str, unit: str, path: Path) -> Path:
    from matplotlib import pyplot

    canvas, axes = pyplot.subplots(figsize=(_WIDE, _HIGH))
    styles = ("o-", "s--", "^:")
    for number, what in enumerate(dict.fromkeys(one.what for one in figures)):
        style, label = styles[number % 3], what.removesuffix(", s").removesuffix(", s, worst")
        own = sorted((one for one in figures if one.what == what), key=lambda one: one.members)
        same = what.startswith("host silent: failed")  # memberlist's is drawn with the killed
        for who, color, lines in (
            ("ours", _OURS, [(one.members, one.ours) for one in own]),
            ("memberlist", _THEIRS, [(one.members, one.theirs) for one in own if not same]),
        ):
            there = [(members, max(values)) for members, values in lines if values]
            if there:
                axes.plot(*zip(*there, strict=True), style, color=color, label=f"{who}: {label}")
        if own[0].target is not None:
            axes.axhline(own[0].target, color=_TARGET, linewidth=0.6)
            axes.annotate(
                f"target {own[0].target:g}",
                (1, own[0].target),
                fontsize=6,
                color=_TARGET,
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
            )
    axes.set(xscale="log", xlabel="members", ylabel=unit, title=title)
    if max(max(one.ours + one.theirs) for one in figures) < 100:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.25)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return _save(canvas, path)


def _draw_grid(figures: Sequence[Figure], path: Path) -> Path:
    from matplotlib import pyplot

    canvas, axes = pyplot.subplots(figsize=(_WIDE * 1.4, _HIGH))
    bars: list[tuple[str, list[float], str]] = []
    for one in figures:
        if "SWIM" in one.what:
            bars.append(("SWIM", _per_cell(one.ours), "#e0b1a6"))
            bars.append(("Lifeguard", _per_cell(one.theirs), _THEIRS))
        else:
            timers = "running" if "running" in one.what else "standing"
            color = _OURS if timers == "running" else "#8fb8da"
            bars.append((f"ours, timers {timers}", _per_cell(one.ours), color))
    width = 0.8 / len(bars)
    for number, (label, values, color) in enumerate(bars):
        places = [cell + number * width for cell in range(len(GRID))]
        axes.bar(places, values, width, label=label, color=color)
    axes.set_xticks([cell + 0.3 for cell in range(len(GRID))])
    axes.set_xticklabels(
        [f"{cell.blocked}\n{cell.duration:g}\n{cell.gap:g}" for cell in GRID], fontsize=7
    )
    axes.set_yscale("symlog", linthresh=1)
    axes.set(
        xlabel="members that stall, for how many s, running how many s between",
        ylabel="false deaths per run",
        title="128 members, some stall again and again for two minutes",
    )
    axes.legend(fontsize=7)
    return _save(canvas, path)


def _per_cell(values: Sequence[float]) -> list[float]:
    """The mean of each cell: the rows of a run are in the grid's order."""
    return [fmean(values[cell :: len(GRID)]) for cell in range(len(GRID))]


def _save(canvas: Any, path: Path) -> Path:
    canvas.tight_layout()
    canvas.savefig(path, dpi=_DPI)
    return path
