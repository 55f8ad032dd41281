"""Who owns a block: weighted rendezvous hashing, computed alike by every member.

For each candidate, a 64-bit mix of (store id, key) gives u in (0, 1), and its score is
-weight / ln(u); the best score owns the key. A candidate that comes or goes moves only the keys
it wins or had won, and each owns keys in proportion to its weight. The function is part of the
wire format: docs/wire-format.md, section "Placement", has it with its test vectors.

Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998; the weights as in
Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005 (their logarithmic method).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from meshcache.block import BlockId

_GOLDEN = 0x9E3779B97F4A7C15
_MUL_1 = 0xBF58476D1CE4E5B9
_MUL_2 = 0x94D049BB133111EB
_64_BITS = (1 << 64) - 1


class Candidate(msgspec.Struct, frozen=True, order=True):
    """A member that may own blocks."""

    store_id: str
    weight: float
    """The member's capacity, in any unit that all candidates share. A candidate whose weight is
    not above 0 and finite owns nothing."""
    zone: str = ""


class Placement:
    """The owners of any key among certain candidates. Immutable; the candidates' order is
    of no matter. Made anew when the candidates change (about 1 us for each)."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        """Two candidates of one store id (a copied cache folder) count as one."""
        fit = [one for one in candidates if 0 < one.weight < math.inf]
        unique = {one.store_id: one for one in sorted(fit)}
        # In the order of store ids, argmax takes the least id among equal scores.
        chosen = [unique[store_id] for store_id in sorted(unique)]
        zones = sorted({one.zone for one in chosen})
        numbers = {zone: number for number, zone in enumerate(zones)}
        self._store_ids = [one.store_id for one in chosen]
        self._hashes = np.array([hash64(s.encode()) for s in self._store_ids], dtype=np.uint64)
        self._negated = np.array([-one.weight for one in chosen], dtype=np.float64)
        self._zones = np.array([numbers[one.zone] for one in chosen], dtype=np.int64)
        self._zone_count = len(zones)
        self._plain = [
            _Plain(hash64(one.store_id.encode()), one.weight, numbers[one.zone]) for one in chosen
        ]

    def __len__(self) -> int:
        return len(self._store_ids)

    def rank(self, block_id: BlockId, count: int) -> list[str]:
        """The store ids of a block's first `count` owners, best first.

        The best of each zone come first, by score, then all others, by score. Shorter than `count`
        if there are fewer candidates.
        """
        return self._rank(block_key(block_id), count)

    def rank_name(self, name: bytes, count: int) -> list[str]:
        """As `rank`, for anything that has a name."""
        return self._rank(hash64(name), count)

    def _rank(self, key: int, count: int) -> list[str]:
        count = min(count, len(self._store_ids))
        if count <= 0:
            return []
        if len(self._plain) <= _PLAIN:
            return self._rank_plainly(key)[:count]
        scores = self._scores(key)
        chosen: list[int] = []
        allowed = scores.copy()
        for _ in range(min(count, self._zone_count)):
            best = int(allowed.argmax())
            chosen.append(best)
            if len(chosen) < count:
                allowed[self._zones == self._zones[best]] = -1.0
        scores[chosen] = -1.0
        while len(chosen) < count:
            best = int(scores.argmax())
            chosen.append(best)
            scores[best] = -1.0
        return [self._store_ids[number] for number in chosen]

    def _rank_plainly(self, key: int) -> list[str]:
        """All, without arrays: with few candidates those take longer than all sums together."""
        found = sorted((-_score(key, one), number) for number, one in enumerate(self._plain))
        first: dict[int, int] = {}
        for _, number in found:
            first.setdefault(self._plain[number].zone, number)
        others = (number for _, number in found if first[self._plain[number].zone] != number)
        return [self._store_ids[number] for number in (*first.values(), *others)]

    @property
    def store_ids(self) -> list[str]:
        """The candidates that may own something, in the order that `rank_many` numbers them."""
        return list(self._store_ids)

    def rank_many(self, keys: NDArray[np.uint64], count: int) -> NDArray[np.intp]:
        """As `rank` for many blocks, given by their `block_keys`: numbers of `store_ids`, best
        first.

        Shape (keys, count), or fewer columns if there are fewer candidates. Some tens of bytes are
        taken for each pair of key and candidate meanwhile.
        """
        count = min(count, len(self._store_ids))
        chosen = np.empty((len(keys), max(count, 0)), dtype=np.intp)
        if not chosen.size:
            return chosen
        scores = self._scores(keys[:, None])
        closed = np.zeros(scores.shape, dtype=np.bool_)
        row = np.arange(len(keys))
        for column in range(count):
            # The best of each zone come first: what is of a zone that has one is closed till then.
            if column == self._zone_count:
                closed[:] = False
                closed[row[:, None], chosen[:, :column]] = True
            best = np.where(closed, -1.0, scores).argmax(axis=1)
            chosen[:, column] = best
            if column + 1 < min(count, self._zone_count):
                closed |= self._zones[None, :] == self._zones[best][:, None]
            else:
                closed[row, best] = True
        return chosen

    def _scores(self, key: int | NDArray[np.uint64]) -> NDArray[np.float64]:
        mixed = mix(self._hashes ^ np.asarray(key, dtype=np.uint64))
        # 52 bits and a half: every such value is exact and lies in (0, 1). With 53 bits the
        # largest would round to 1, whose logarithm is 0.
        unit = ((mixed >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
        scores: NDArray[np.float64] = self._negated / np.log(unit)
        return scores


class _Plain(NamedTuple):
    hash: int
    weight: float
    zone: int


_PLAIN = 12
"""Candidates up to which plain numbers are quicker than arrays."""


def _score(key: int, one: _Plain) -> float:
    """As `Placement._scores`, of one. (The logarithm's last bit may differ.)"""
    return -one.weight / math.log(((_mix_one(one.hash ^ key) >> 12) + 0.5) * 2.0**-52)


def block_key(id: BlockId) -> int:
    """What a block is placed by: 64 bits."""
    head = int.from_bytes(id.version[:8], "little")
    return head ^ _mix_one(_mix_one(id.block_size) ^ id.index)


def block_keys(
    heads: NDArray[np.uint64], block_size: int, index: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """The `block_key` of many blocks of one size.

    Args:
        heads: for each the first 8 bytes of its file version's id, little endian.
        block_size: bytes.
        index: for each its place in the file.
    """
    return heads ^ mix(np.uint64(_mix_one(block_size)) ^ index)


def hash64(data: bytes) -> int:
    """The first 8 bytes of blake3, little endian."""
    return int.from_bytes(blake3(data).digest(8), "little")


def _mix_one(value: int) -> int:
    z = (value + _GOLDEN) & _64_BITS
    z = ((z ^ (z >> 30)) * _MUL_1) & _64_BITS
    z = ((z ^ (z >> 27)) * _MUL_2) & _64_BITS
    return z ^ (z >> 31)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One step of splitmix64 from each value: Steele, Lea and Flood, "Fast Splittable
    Pseudorandom Number Generators", 2014."""
    z = values + np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MUL_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MUL_2)
    return z ^ (z >> np.uint64(31))
