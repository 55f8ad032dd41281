"""The curves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.growth import agents, files, placement
from benchmarks.growth.points import Growth, load


def draw(folder: Path) -> list[Path]:
    """Write the plots of all kinds that were measured; their files."""
    drawn = []
    for kind, plot in PLOTS.items():
        growth = load(folder, kind)
        if growth is not None and growth.points:
            drawn.append(plot(growth, folder / f"growth-{kind}.png"))
    return drawn


def _panels(growth: Growth, count: int) -> tuple[Figure, Any]:
    canvas = Figure(figsize=(4.2 * count, 3.8), layout="constrained")
    canvas.suptitle(growth.about, fontsize=9)
    return canvas, canvas.subplots(1, count, squeeze=False)[0]


def _line(axes: Any, points: list[tuple[int, float]], label: str) -> None:
    axes.plot([size for size, _ in points], [value for _, value in points], "o-", label=label)


def _agents(growth: Growth, file: Path) -> Path:
    canvas, panels = _panels(growth, 3)
    for axes, (name, title) in zip(
        panels,
        (
            ("seconds", "seconds until all have read all"),
            ("origin", "bytes asked of the origin / bytes of the data"),
            ("cpu_per_gib", "CPU-seconds of all agents for each GiB read"),
        ),
        strict=True,
    ):
        for curve in (agents.TOGETHER, agents.APART):
            _line(axes, growth.figures(curve, name), curve)
        axes.set(title=title, xlabel="agents", ylim=(0, None))
        axes.title.set_fontsize(9)
        axes.set_xticks(agents.COUNTS)
        axes.grid(alpha=0.3)
        axes.legend()
    canvas.savefig(file, dpi=110)
    return file


def _files(growth: Growth, file: Path) -> Path:
    canvas, panels = _panels(growth, 3)
    for axes, title, names in zip(
        panels,
        ("seconds", "MiB", "thousand per second through the mount"),
        (
            {"listed": "listed", "cpu": "CPU of listing", "mounted": "mounted"},
            {"lister": "listing added to the agent", "worker": "worker, own", "mapped": "mapped"},
            {"names": "names", "stat": "stat"},
        ),
        strict=True,
    ):
        for name, label in names.items():
            _line(axes, growth.figures(files.CURVE, name), label)
        axes.set(title=title, xlabel="files", xscale="log", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend()
    canvas.savefig(file, dpi=110)
    return file


def _placement(growth: Growth, file: Path) -> Path:
    canvas, panels = _panels(growth, 2)
    for name, label in (("rank_us", "rank one block"), ("make_us", "members changed: made anew")):
        _line(panels[0], growth.figures(placement.CURVE, name), label)
    panels[0].set(title="microseconds", xlabel="members", xscale="log", yscale="log")
    for name, label in (
        ("moved", "blocks moved by a join / the least"),
        ("most_over_mean", "most blocks of a member / mean"),
    ):
        _line(panels[1], growth.figures(placement.CURVE, name), label)
    panels[1].set(title="times", xlabel="members", xscale="log", ylim=(0, None))
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.legend()
    canvas.savefig(file, dpi=110)
    return file


PLOTS: dict[str, Callable[[Growth, Path], Path]] = {
    "agents": _agents,
    "files": _files,
    "placement": _placement,
}
