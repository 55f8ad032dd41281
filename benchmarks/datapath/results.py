"""What a run measured: every sample, and on what, as one JSON file."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from benchmarks.machine import Machine, same


class Sample(msgspec.Struct, frozen=True):
    """One subject, once, at one cell."""

    cell: str
    subject: str
    turn: int
    """Which round of the cell."""
    value: float | None = None
    """In the cell's unit; None if it failed."""
    seconds: float = 0.0
    bytes: int = 0
    """Read by the program that was timed."""
    operations: int = 0
    cpu: float = 0.0
    """Seconds that the subject's processes took."""
    reader_cpu: float = 0.0
    """Seconds that the reading processes took."""
    memory: int = 0
    """Bytes of RssAnon of all the subject's processes together, the most that was seen."""
    stored: int = 0
    """Bytes that its cache takes after it."""
    whole: bool = True
    """All was read; else what was read in the time given."""
    error: str = ""


class Run(msgspec.Struct):
    """One run of the harness."""

    began: str
    """ISO 8601, UTC."""
    machine: Machine
    size: int
    """Bytes of the model; the other trees' sizes follow from it."""
    rate: int
    """Bytes per second of the capped origin."""
    versions: dict[str, str] = {}
    """By subject."""
    settings: dict[str, str] = {}
    samples: list[Sample] = []
    busy: float = 0.0
    """Percent of the machine over the whole run."""

    def of(self, cell: str, subject: str) -> list[Sample]:
        """The samples of a cell that did not fail."""
        return [
            sample
            for sample in self.samples
            if (sample.cell, sample.subject) == (cell, subject) and sample.value is not None
        ]

    def values(self, cell: str, subject: str) -> list[float]:
        """Their values."""
        return [sample.value for sample in self.of(cell, subject) if sample.value is not None]

    def failures(self) -> list[Sample]:
        """Those that failed."""
        return [sample for sample in self.samples if sample.error]


class Spread(msgspec.Struct, frozen=True):
    """Median, least and most."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread | None:
    """None of nothing."""
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values))


def ratio(run: Run, cell: str, ours: str, theirs: str, *, higher: bool) -> Spread | None:
    """How many times better `ours` is: of the medians, and the least and most of any round.

    None if one of both was not measured, or is nothing.
    """
    mine = {sample.turn: sample.value for sample in run.of(cell, ours)}
    other = {sample.turn: sample.value for sample in run.of(cell, theirs)}
    if not mine or not other or not all([*mine.values(), *other.values()]):
        return None

    def better(one: float, two: float) -> float:
        return one / two if higher else two / one

    rounds = [better(mine[turn], other[turn]) for turn in mine if turn in other]  # type: ignore[arg-type]
    middle = better(statistics.median(mine.values()), statistics.median(other.values()))  # type: ignore[type-var, arg-type]
    return Spread(middle, min([*rounds, middle]), max([*rounds, middle]))


def merged(runs: Iterable[Run]) -> Run:
    """Parts of a run as one, the newer ones' cells in place of the older ones'.

    Raises:
        OtherMachine: they are of different machines.
        InvalidInput: there is none.
    """
    first, *more = sorted(runs, key=lambda run: run.began)
    for run in more:
        same(first.machine, run.machine)
        again = {(sample.cell, sample.subject) for sample in run.samples}
        kept = [s for s in first.samples if (s.cell, s.subject) not in again]
        first = msgspec.structs.replace(
            run,
            versions=first.versions | run.versions,
            settings=first.settings | run.settings,
            samples=kept + run.samples,
        )
    return first


def save(run: Run, file: Path) -> None:
    """Write it, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))
    part.rename(file)


def load(file: Path) -> Run:
    """Read it. msgspec.DecodeError if it is none."""
    return msgspec.json.decode(file.read_bytes(), type=Run)
