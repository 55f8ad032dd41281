"""Plots of what was measured: a dot for each sample, a line through the medians."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure as Canvas

from benchmarks.membership.parts import Part
from benchmarks.membership.report import Figure, values

COLOURS = {"ours": "tab:blue", "serf": "tab:orange", "kinship": "tab:green"}


class Plot(NamedTuple):
    """One picture."""

    file: str
    figure: Figure
    title: str
    goal: float
    """Seconds."""


PLOTS = (
    Plot(
        "membership-kill.png",
        Figure("kills", "all", ""),
        "SIGKILL of a member: seconds until all others know",
        1.0,
    ),
    Plot(
        "membership-event.png",
        Figure("events", "all", ""),
        "An event: seconds until all members have it",
        0.1,
    ),
)


def draw(parts: Sequence[Part], folder: Path) -> list[Path]:
    """Write all plots of which there are samples; their files."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_draw(plot, parts, folder / plot.file) for plot in PLOTS]


def _draw(plot: Plot, parts: Sequence[Part], file: Path) -> Path:
    canvas = Canvas(figsize=(7, 4), layout="constrained")
    axes = canvas.subplots()
    present = {part.subject for part in parts}
    sizes = sorted({part.members for part in parts})
    shown: set[int] = set()
    for place, subject in enumerate(COLOURS):
        if subject not in present:
            continue
        shift = 1.04 ** (place - (len(COLOURS) - 1) / 2)
        style: dict[str, Any] = {"color": COLOURS[subject]}
        medians = {}
        for size in sizes:
            chosen = [part for part in parts if part.is_of(subject, size)]
            there = [value for value in values(chosen, plot.figure) if value is not None]
            if there:
                axes.plot([size * shift] * len(there), there, ".", alpha=0.4, **style)
                medians[size] = statistics.median(there)
        shown |= medians.keys()
        places = [size * shift for size in medians]
        axes.plot(places, [*medians.values()], label=subject, **style)
    axes.axhline(plot.goal, color="grey", linestyle=":", label=f"goal {plot.goal:g} s")
    axes.set(title=plot.title, xlabel="members", ylabel="seconds", xscale="log", yscale="log")
    axes.set_xticks(sorted(shown), [str(size) for size in sorted(shown)])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    canvas.savefig(file, dpi=110)
    return file
