"""What is measured: a table, a line for each figure."""

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from benchmarks.datapath.jobs import Done, Job
from benchmarks.datapath.trees import EPOCH, MODEL, NAMES, Tree
from meshcache.units import KIB, MIB


class Unit(NamedTuple):
    """What a figure is in."""

    name: str
    of: Callable[[Done], float]
    higher: bool = True
    """More is better."""


MIB_PER_SECOND = Unit("MiB/s", lambda done: done.bytes / MIB / done.seconds)
PER_SECOND = Unit("/s", lambda done: done.operations / done.seconds)
MILLISECONDS = Unit("ms", lambda done: 1000 * done.seconds / done.operations, higher=False)


class State(Enum):
    """What a subject has cached when the clock starts."""

    COLD = "cold"
    """Nothing: no cache, a new mount."""
    CAPPED = "cold, origin capped"
    """The same, and the origin gives so many bytes a second."""
    NODES = "cold, origin capped, 3 nodes at once"
    """The same on several nodes, each with a cache of its own, that read at the same time."""
    WARM = "warm"
    """All of the tree in its own cache, and nothing in the kernel's."""


class Cell(NamedTuple):
    """One figure."""

    name: str
    """By which it is chosen."""
    text: str
    tree: Tree
    state: State
    unit: Unit
    job: Job
    suffix: str = ""
    """Only files whose name ends so."""
    readahead: int | None = None
    """KiB that are set on every mount; None leaves what each set itself."""
    limits: bool = True
    """Whether the bare files and the null file system are measured, too."""
    rounds: float = 1.0
    """Times the rounds of the run; at least two."""

    def takes(self, *, caches: bool, through_s3: bool) -> bool:
        """Whether such a subject can be measured at it."""
        if self.state is State.WARM:
            return caches or self.limits
        return caches and (through_s3 or self.state is State.COLD)

    @property
    def nodes(self) -> int:
        """How many read the same files at the same time, each through a mount of its own."""
        return _NODES if self.state is State.NODES else 1


_SHARDS = ".safetensors"
_ONE_SHARD = f"00001-of-00004{_SHARDS}"
_NODES = 3
_RANDOM_FOR = 1.0
"""Seconds of a sample of random reads."""
_READAHEAD = 4096
"""KiB."""


def _sequential(name: str, state: State, streams: int, **more: Any) -> Cell:
    text = f"sequential read, {streams} stream{'s' if streams > 1 else ''}"
    if more.get("readahead"):
        text += f", readahead {_READAHEAD // KIB} MiB for all"
    cell = Cell(
        name, text, MODEL, state, MIB_PER_SECOND, Job("sequential", streams=streams), _SHARDS
    )
    return cell._replace(**more)


def _random(size: int, readers: int) -> Cell:
    shown = f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"
    who = f"{readers} reader{'s' if readers > 1 else ''}"
    return Cell(
        f"random-{shown.replace(' ', '').removesuffix('iB').lower()}-{readers}",
        f"random reads of {shown}, {who}",
        MODEL,
        State.WARM,
        PER_SECOND,
        Job("random", streams=readers, size=size, seconds=_RANDOM_FOR),
        _SHARDS,
    )


CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        _sequential("cold-1", State.COLD, 1, rounds=0.5),
        _sequential("cold-4", State.COLD, 4, rounds=0.5),
        _sequential("cold-capped", State.CAPPED, 1, suffix=_ONE_SHARD, rounds=0.4),
        _sequential("fan-out", State.NODES, 1, text="all together", suffix=_ONE_SHARD, rounds=0.4),
        Cell(
            "first-byte",
            "time to first byte",
            MODEL,
            State.COLD,
            MILLISECONDS,
            Job("first-byte"),
            _SHARDS,
        ),
        _sequential("warm-1", State.WARM, 1),
        _sequential("warm-4", State.WARM, 4),
        _sequential("warm-1-ahead", State.WARM, 1, readahead=_READAHEAD),
        *(_random(size, readers) for size in (4 * KIB, 128 * KIB, MIB) for readers in (1, 8)),
        Cell(
            "mmap",
            "mapped, 64 KiB in random order",
            MODEL,
            State.WARM,
            MIB_PER_SECOND,
            Job("mapped", size=64 * KIB, seconds=_RANDOM_FOR),
            _SHARDS,
        ),
        Cell(
            "open-model",
            "safetensors: open a shard",
            MODEL,
            State.WARM,
            MILLISECONDS,
            Job("open-model"),
            _SHARDS,
        ),
        Cell(
            "load-model",
            "safetensors: load all tensors",
            MODEL,
            State.WARM,
            MIB_PER_SECOND,
            Job("load-model"),
            _SHARDS,
        ),
        Cell(
            "epoch-1",
            "first epoch, shuffled, 4 workers",
            EPOCH,
            State.COLD,
            PER_SECOND,
            Job("small-files", streams=4, seconds=30),
            rounds=0.4,
        ),
        Cell(
            "epoch-2",
            "next epoch, shuffled, 4 workers",
            EPOCH,
            State.WARM,
            PER_SECOND,
            Job("small-files", streams=4, seconds=15),
            rounds=0.5,
        ),
        Cell(
            "find-cold",
            "first find over all names",
            NAMES,
            State.COLD,
            PER_SECOND,
            Job("find", seconds=15),
            rounds=0.4,
        ),
        Cell("find", "find", NAMES, State.WARM, PER_SECOND, Job("find", seconds=10), rounds=0.5),
        Cell("ls", "ls -lR", NAMES, State.WARM, PER_SECOND, Job("ls", seconds=10), rounds=0.5),
        Cell(
            "stat",
            "stat, shuffled",
            NAMES,
            State.WARM,
            PER_SECOND,
            Job("stats", seconds=5),
            rounds=0.5,
        ),
    )
}
