"""Plots of a run: a dot for each sample, a bar for the median."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.datapath import sections
from benchmarks.datapath.results import Run, Sample, spread
from benchmarks.datapath.sections import Section
from benchmarks.datapath.subjects import OURS, SUBJECTS
from meshcache.units import GIB, MIB

COLOURS = dict(
    zip(
        SUBJECTS,
        ("#1f77b4", "#ff7f0e", "#ffbb78", "#2ca02c", "#9467bd", "#8c564b", "#bbbbbb", "#666666"),
        strict=True,
    )
)


def draw(run: Run, folder: Path) -> list[Path]:
    """Write all plots of mounts, if any were measured; their files."""
    folder.mkdir(parents=True, exist_ok=True)
    mounts = next((s for s in sections.of(run) if s.ours == OURS), None)
    if mounts is None:
        return []
    return [
        _ratios(run, mounts, folder / "bench-ratios.png"),
        _bars(
            run,
            mounts,
            folder / "bench-cpu.png",
            "CPU-seconds of the subject for each GiB read",
            lambda s: s.cpu / (s.bytes / GIB) if s.bytes > MIB else None,
        ),
        _bars(
            run,
            mounts,
            folder / "bench-memory.png",
            "MiB of RssAnon, all processes of the subject",
            lambda s: s.memory / MIB,
        ),
    ]


def _ratios(run: Run, section: Section, file: Path) -> Path:
    """Each subject's samples over our median: to the left of 1 it is slower than we are."""
    cells, subjects = section.lines, section.subjects
    canvas = Figure(figsize=(9, 1.2 + 0.42 * len(cells)), layout="constrained")
    axes = canvas.subplots()
    for row, cell in enumerate(cells):
        ours = spread(run.values(cell.cell, section.ours))
        if ours is None or not ours.median:
            continue
        for place, subject in enumerate(subjects):
            height = row + 0.7 * ((place + 0.5) / len(subjects) - 0.5)
            values = run.values(cell.cell, subject)
            better = [
                value / ours.median if cell.higher else ours.median / value
                for value in values
                if value
            ]
            if middle := spread(better):
                style: dict[str, Any] = {"color": COLOURS[subject]}
                axes.plot([middle.least, middle.most], [height] * 2, "-", linewidth=1, **style)
                axes.plot([middle.median], [height], "o", markersize=4, **style)
    for subject in subjects:
        axes.plot([], [], "o", color=COLOURS[subject], label=subject)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(cells)), [cell.text for cell in cells])
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="times meshcache's median; farther right is faster")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", alpha=0.3)
    for row in range(1, len(cells)):
        axes.axhline(row - 0.5, color="grey", alpha=0.15, linewidth=0.6)
    canvas.legend(loc="outside upper center", ncols=4, frameon=False)
    canvas.savefig(file, dpi=110)
    return file


def _bars(
    run: Run,
    section: Section,
    file: Path,
    title: str,
    of: Callable[[Sample], float | None],
) -> Path:
    subjects = section.subjects
    cells = [
        line
        for line in section.lines
        if any(of(sample) is not None for sample in run.of(line.cell, section.ours))
    ]
    canvas = Figure(figsize=(9, 1.2 + 0.42 * len(cells)), layout="constrained")
    axes = canvas.subplots()
    drawn = 0
    for place, subject in enumerate(subjects):
        heights, lengths = [], []
        for row, cell in enumerate(cells):
            values = [value for s in run.of(cell.cell, subject) if (value := of(s)) is not None]
            if (found := spread(values)) and found.median:
                heights.append(row + 0.8 * ((place + 0.5) / len(subjects) - 0.5))
                lengths.append(found.median)
        axes.barh(heights, lengths, 0.8 / len(subjects), color=COLOURS[subject], label=subject)
        drawn += len(lengths)
    axes.set_yticks(range(len(cells)), [cell.text for cell in cells])
    axes.invert_yaxis()
    axes.set(xlabel=title, xscale="log" if drawn else "linear")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", alpha=0.3)
    canvas.legend(loc="outside upper center", ncols=4, frameon=False)
    canvas.savefig(file, dpi=110)
    return file
