"""Ranking of blocks among 1 to 10,000 members: what it takes, and how even it is."""

import time
from collections.abc import Callable

import numpy as np

from benchmarks.growth.points import Point
from meshcache.block import DEFAULT_BLOCK_SIZE, BlockId
from meshcache.placement import Candidate, Placement

COUNTS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
CURVE = "placement"
ABOUT = "equal weights, 3 owners; 64 blocks ranked one by one, 100 blocks per member counted"
_BLOCKS = 64
_PER_MEMBER = 100
_COUNTED = 1000
"""Members up to which all blocks of all members are counted: beyond, it takes minutes."""
_OWNERS = 3
_TURNS = 5


def measure(counts: tuple[int, ...], keep: Callable[[Point], None]) -> None:
    """All counts."""
    for count in counts:
        keep(_one(count))


def _one(count: int) -> Point:
    members = [Candidate(f"store-{number:05}", 1.0) for number in range(count)]
    began = time.perf_counter()
    placement = Placement(members)
    made = time.perf_counter() - began
    blocks = [_block(number) for number in range(_BLOCKS)]
    ranked = min(_timed(lambda: [placement.rank(block, _OWNERS) for block in blocks]))
    figures = {"make_us": made * 1e6, "rank_us": ranked / _BLOCKS * 1e6}
    if count <= _COUNTED:
        figures["moved"] = _moved(members)
        figures["most_over_mean"] = _most_over_mean(placement, count)
    return Point(CURVE, count, figures)


def _block(number: int) -> BlockId:
    return BlockId(number.to_bytes(32, "little"), DEFAULT_BLOCK_SIZE, number)


def _timed(work: Callable[[], object]) -> list[float]:
    taken = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return taken


def _owners(placement: Placement, keys: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.intp]]":
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**64, keys, dtype=np.uint64)
    step = max(1, 2_000_000 // max(1, len(placement)))  # pairs that are computed at once
    parts = [placement.rank_many(hashes[at : at + step], 1) for at in range(0, keys, step)]
    return np.concatenate(parts)[:, 0]


def _most_over_mean(placement: Placement, count: int) -> float:
    """The blocks of the member that owns most, over the mean."""
    counts = np.bincount(_owners(placement, _PER_MEMBER * count), minlength=count)
    return float(counts.max() / counts.mean())


def _moved(members: list[Candidate]) -> float:
    """The share of blocks that get another owner when one member joins, over the least possible
    (what the newcomer has to own)."""
    keys = _PER_MEMBER * (len(members) + 1)
    before = Placement(members)
    after = Placement([*members, Candidate("store-newcomer", 1.0)])
    names, new = np.array(before.store_ids), np.array(after.store_ids)
    changed = names[_owners(before, keys)] != new[_owners(after, keys)]
    return float(changed.mean() * (len(members) + 1))
