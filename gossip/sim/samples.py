"""What the experiments gave: taken in processes side by side, kept in a file, never taken twice."""

import gc
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import msgspec

from meshcache.gossip.sim.experiments.runs import RUNS

Row = dict[str, float | None]
"""Column -> number; None where it never happened."""


class Wanted(NamedTuple):
    """One run to make."""

    run: str
    """A name in `RUNS`."""
    members: int
    seed: int


class Sample(msgspec.Struct, frozen=True):
    """What one run gave."""

    run: str
    members: int
    seed: int
    rows: list[Row]
    code: str = ""
    """The commit, as the one who ran it says."""

    @property
    def of(self) -> Wanted:
        """Which run it is of."""
        return Wanted(self.run, self.members, self.seed)


def commit() -> str:
    """The commit that is checked out here; empty if that cannot be told."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def take(wanted: Wanted, code: str = "") -> Sample:
    """Make one run."""
    gc.disable()  # what a run makes lives as long as the run; looking through it costs minutes
    found = [msgspec.to_builtins(row) for row in RUNS[wanted.run](wanted.members, wanted.seed)]
    gc.enable()
    gc.collect()
    rows = msgspec.json.decode(msgspec.json.encode(found), type=list[Row])  # infinite is None
    return Sample(*wanted, rows, code)


class Samples:
    """All that was taken, in a file or (None) only here."""

    def __init__(self, file: Path | None = None) -> None:
        """Read what is in the file, if it exists.

        Raises:
            msgspec.ValidationError: it holds something else.
        """
        self._file = file
        self._by_run: dict[Wanted, Sample] = {}
        if file is not None and file.exists():
            for line in file.read_bytes().splitlines():
                sample = msgspec.json.decode(line, type=Sample)
                self._by_run[sample.of] = sample

    def missing(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        """Those of them that were not taken yet, each once."""
        return [one for one in dict.fromkeys(wanted) if one not in self._by_run]

    def add(self, sample: Sample) -> None:
        """Keep one."""
        self._by_run[sample.of] = sample
        if self._file is not None:
            with self._file.open("ab") as file:
                file.write(msgspec.json.encode(sample) + b"\n")

    def collect(self, wanted: Iterable[Wanted], *, jobs: int, code: str = "") -> Iterator[Sample]:
        """Take what is missing, `jobs` at once; each as it comes."""
        missing = self.missing(wanted)
        if jobs == 1:
            for one in missing:
                sample = take(one, code)
                self.add(sample)
                yield sample
            return
        # One run each process: what it used goes back to the system.
        with ProcessPoolExecutor(min(jobs, os.cpu_count() or 1), max_tasks_per_child=1) as pool:
            for done in as_completed([pool.submit(take, one, code) for one in missing]):
                self.add(done.result())
                yield done.result()

    def of(self, run: str, members: int) -> list[Sample]:
        """All of one run at one size, by seed."""
        found = [one for one in self._by_run.values() if (one.run, one.members) == (run, members)]
        return sorted(found, key=lambda one: one.seed)

    @property
    def sizes(self) -> Sequence[int]:
        """The sizes of all meshes."""
        return sorted({one.members for one in self._by_run})


def column(samples: Iterable[Sample], names: str) -> list[float]:
    """One number of each row: the sum of these columns (``a + b``), infinite if one is None."""
    wanted = names.split(" + ")
    return [
        sum(float("inf") if row[name] is None else float(row[name] or 0) for name in wanted)
        for sample in samples
        for row in sample.rows
    ]
