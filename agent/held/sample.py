"""The blocks of a snapshot that stand for all of it.

The bytes of a snapshot, file after file in the order of its rows, are cut into `POINTS` strata of
equal width, and each stratum has one point at a place that a hash chooses. The blocks in which a
point lies are the sample: a block is in it by its share of the bytes, and for certain if it is as
long as two strata. So what is held of the sample tells what is held of all: to the byte while the
blocks are long enough, which is while they are about 8,000 of one size; beyond that with a
standard error of at most sqrt(p (1 - p) / POINTS), 0.4 % where a half is held.

A *level* above 0 keeps one point of 2 ** level neighbours, again by hash, for who has not the room.
Every member computes the same sample of the same snapshot (docs/wire-format.md).

Weights are those of Horvitz and Thompson, "A Generalization of Sampling Without Replacement From a
Finite Universe", 1952, made to add up to the whole (Hájek, 1971).
"""

from collections.abc import Sequence
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt

from meshcache.block import BlockId
from meshcache.errors import InvalidInput
from meshcache.placement import mix
from meshcache.snapshot import Snapshot

POINTS = 1 << 14
MAX_LEVEL = 8

Bits = npt.NDArray[np.bool_]
"""Which blocks of a sample are held. Shape (blocks of the sample at some level,)."""

Keys = npt.NDArray[np.uint64]
"""64 bits of each block's id (`keys_of`)."""

_JITTER_BITS = 24


def keys_of(ids: Sequence[BlockId]) -> Keys:
    """What samples know blocks by. Shape (ids,). About 0.3 us for each."""
    return _keys(
        np.frombuffer(b"".join(id.version[:8] for id in ids), dtype="<u8"),
        np.fromiter((id.block_size for id in ids), np.uint64, len(ids)),
        np.fromiter((id.index for id in ids), np.uint64, len(ids)),
    )


def _keys(versions: Keys, block_sizes: Keys, indexes: Keys) -> Keys:
    return versions ^ mix(indexes ^ mix(block_sizes))


def _chosen(level: int) -> npt.NDArray[np.uint64]:
    """The numbers of the strata whose points stand at that level. Shape (POINTS >> level,)."""
    chosen = np.arange(POINTS >> level, dtype=np.uint64)
    for above in range(level, 0, -1):
        side = mix(chosen ^ np.uint64(above << 32)) >> np.uint64(63)
        chosen = chosen * np.uint64(2) + side
    return chosen


def _places(level: int, total: int) -> npt.NDArray[np.int64]:
    """Where the points of that level lie, in bytes. Shape (POINTS >> level,), ascending."""
    chosen = _chosen(level)
    jitter = (mix(chosen) >> np.uint64(64 - _JITTER_BITS)).astype(np.float64) * 2.0**-_JITTER_BITS
    places = np.floor((chosen.astype(np.float64) + jitter) * (total / POINTS)).astype(np.int64)
    return np.minimum(places, total - 1)


class _Columns(msgspec.Struct, array_like=True):
    """A sample on the wire."""

    total: int
    keys: bytes
    starts: bytes
    lengths: bytes


class Sample:
    """The blocks of one snapshot's sample, in the order of their bytes."""

    def __init__(
        self,
        total: int,
        keys: Keys,
        starts: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
    ) -> None:
        """For `of` and `decode`; others use those."""
        self.total = total
        """Bytes of the snapshot's files."""
        self._keys = keys
        self._starts = starts
        self._lengths = lengths
        self._known, self._place = np.unique(keys, return_inverse=True)
        self._levels: dict[int, Level] = {}

    def __len__(self) -> int:
        """How many blocks."""
        return len(self._keys)

    @classmethod
    def of(cls, snapshot: Snapshot, block_size: int) -> "Sample":
        """Compute it. For a million files call it in a thread."""
        ends = np.cumsum(snapshot.size.astype(np.int64))
        total = int(ends[-1])
        if not total:
            nothing = np.zeros(0, np.int64)
            return cls(0, nothing.astype(np.uint64), nothing, nothing)
        places = _places(0, total)
        rows = np.searchsorted(ends, places, side="right")
        sizes = snapshot.size[rows].astype(np.int64)
        begins = ends[rows] - sizes
        indexes = (places - begins) // block_size
        starts = begins + indexes * block_size
        _, first = np.unique(starts, return_index=True)
        rows, indexes, starts = rows[first], indexes[first], starts[first]
        lengths = np.minimum(sizes[first] - indexes * block_size, block_size)
        versions = snapshot.version[rows].astype(np.uint64)
        block_sizes = np.full(len(rows), block_size, np.uint64)
        return cls(total, _keys(versions, block_sizes, indexes.astype(np.uint64)), starts, lengths)

    def encode(self) -> bytes:
        """For another member: at most 328 KiB."""
        return msgspec.msgpack.encode(
            _Columns(
                self.total,
                self._keys.astype("<u8").tobytes(),
                self._starts.astype("<u8").tobytes(),
                self._lengths.astype("<u4").tobytes(),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "Sample":
        """Read what `encode` wrote.

        Raises:
            InvalidInput: that it was not.
        """
        try:
            columns = msgspec.msgpack.decode(data, type=_Columns)
            keys = np.frombuffer(columns.keys, dtype="<u8")
            starts = np.frombuffer(columns.starts, dtype="<u8").astype(np.int64)
            lengths = np.frombuffer(columns.lengths, dtype="<u4").astype(np.int64)
        except (msgspec.MsgspecError, ValueError) as error:
            raise InvalidInput(f"no sample: {error}") from error
        if not len(keys) == len(starts) == len(lengths) <= POINTS or columns.total < 0:
            raise InvalidInput("no sample: its columns do not fit together")
        return cls(columns.total, keys.astype(np.uint64), starts, lengths)

    def mark(self, held: Bits, keys: Keys, there: npt.NDArray[np.bool_] | bool) -> None:
        """Note which blocks came or went; those that are not in the sample are no matter.

        Args:
            held: what `nothing` gave, changed in place.
            keys: of the blocks, each once.
            there: for each, or for all, whether it is held now.
        """
        if not len(self._known):
            return
        place = np.minimum(np.searchsorted(self._known, keys), len(self._known) - 1)
        ours = self._known[place] == keys
        held[place[ours]] = there if isinstance(there, bool) else there[ours]

    def nothing(self) -> Bits:
        """Marks for `mark`: nothing is held."""
        return np.zeros(len(self._known), dtype=np.bool_)

    def bits(self, held: Bits, level: int) -> Bits:
        """What is marked, of the blocks of that level."""
        return held[self._place][self.at(level).blocks]

    def at(self, level: int) -> "Level":
        """The sample's part that stands at that level."""
        found = self._levels.get(level)
        if found is None:
            found = self._levels[level] = self._thinned(level)
        return found

    def _thinned(self, level: int) -> "Level":
        if not len(self):
            return Level(self.total, np.zeros(0, np.int64), np.zeros(0, np.float64))
        places = _places(level, self.total)
        blocks = np.unique(np.searchsorted(self._starts, places, side="right") - 1)
        width = self.total / (POINTS >> level)
        starts, lengths = self._starts[blocks], self._lengths[blocks]
        chance = _chance(starts / width, (starts + lengths) / width)
        return Level(self.total, blocks, lengths / chance)


def _chance(
    starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """How likely it is that a point lies between these places, counted in strata."""
    first = np.floor(starts) + 1.0
    within = ends <= first
    left = first - starts
    right = np.minimum(ends - first, 1.0)
    chance: npt.NDArray[np.float64] = np.where(
        within, ends - starts, 1.0 - (1.0 - left) * (1.0 - right)
    )
    return chance


class Level:
    """Which blocks of a sample stand at a level, and for how many bytes each."""

    def __init__(
        self, total: int, blocks: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]
    ) -> None:
        """For `Sample.at`."""
        self.blocks = blocks
        """Their places in the sample, ascending."""
        self._total = total
        self._weights = weights

    @cached_property
    def _whole(self) -> float:
        return float(self._weights.sum())

    def bytes_of(self, bits: Bits) -> int:
        """An estimate of the bytes that are held, of which these blocks are what the sample shows.
        Of an empty dataset, and where all is held, it is exact."""
        if bits.all():
            return self._total
        return round(self._total * float(self._weights[bits].sum()) / self._whole)
