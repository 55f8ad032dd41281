"""The parts of a report: which lines it has, and whose columns."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.datapath.cells import CELLS
from benchmarks.datapath.results import Run
from benchmarks.datapath.subjects import LIMITS, OURS, SUBJECTS


class Line(NamedTuple):
    """A figure."""

    cell: str
    text: str
    unit: str
    higher: bool = True
    """More is better."""


class Section(NamedTuple):
    """Figures of the same subjects."""

    title: str
    lines: Sequence[Line]
    subjects: Sequence[str]
    ours: str
    limits: Sequence[str] = ()
    """Of the subjects those that are no rivals."""

    @property
    def rivals(self) -> list[str]:
        """The subjects to be better than."""
        return [name for name in self.subjects if name not in (self.ours, *self.limits)]


def of(run: Run) -> list[Section]:
    """Mounts first; then what was measured between agents, if anything was."""
    cells = dict.fromkeys(sample.cell for sample in run.samples)
    there = dict.fromkeys((sample.cell in CELLS, sample.subject) for sample in run.samples)
    mounts = Section(
        "mounts",
        [
            Line(name, f"{cell.state.value}: {cell.text}", cell.unit.name, cell.unit.higher)
            for name, cell in CELLS.items()
            if name in cells
        ],
        [name for name in SUBJECTS if (True, name) in there],
        OURS,
        LIMITS,
    )
    others = [name for name in cells if name not in CELLS]
    if not others:
        return [mounts]
    senders = sorted(name for among_mounts, name in there if not among_mounts)
    transfers = Section(
        "blocks from another machine's memory, MiB/s at one receiver",
        [Line(name, name, "MiB/s") for name in others],
        senders,
        next(name for name in senders if name.startswith(OURS)),
    )
    return [mounts, transfers] if mounts.lines else [transfers]
