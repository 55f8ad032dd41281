"""Which blocks of a load a member fetches: computed by each for itself, alike by all. Pure.

Each member ranks all blocks of a load, so that is done with arrays; objects are made of its own
blocks only.
"""

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from meshcache.agent.loads.selection import Selected
from meshcache.block import Block
from meshcache.placement import Placement, block_keys
from meshcache.snapshot import Snapshot

CHUNK = 1024
"""Blocks that are looked at in one go: some 2 ms among few members."""


class Chunk(msgspec.Struct, frozen=True, eq=False):
    """Some blocks of a load, in the order of the files: an item of each array for each block."""

    snapshot: Snapshot
    block_size: int
    rows: npt.NDArray[np.int64]
    """The snapshot's row of its file."""
    index: npt.NDArray[np.int64]
    """Its place in the file."""
    replicas: npt.NDArray[np.uint8]
    """How many owners fetch it."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Bytes of each."""
        left = self.snapshot.size[self.rows].astype(np.int64) - self.index * self.block_size
        lengths: npt.NDArray[np.int64] = np.minimum(left, self.block_size)
        return lengths

    @property
    def keys(self) -> npt.NDArray[np.uint64]:
        """What each is placed by (`meshcache.placement.block_key`)."""
        heads = self.snapshot.version[self.rows]
        return block_keys(heads, self.block_size, self.index.astype(np.uint64))

    def blocks(self, chosen: npt.NDArray[np.bool_]) -> list[Block]:
        """The blocks that are chosen."""
        rows, indexes = self.rows[chosen].tolist(), self.index[chosen].tolist()
        files = {row: self.snapshot.file(row) for row in dict.fromkeys(rows)}
        pairs = zip(rows, indexes, strict=True)
        return [Block(files[row], self.block_size, index) for row, index in pairs]


def chunks(
    snapshot: Snapshot, selected: Selected, block_size: int, replicas: int
) -> Iterator[Chunk]:
    """All blocks of the selected files; `replicas` is for those that do not say."""
    counts = -(-snapshot.size[selected.rows].astype(np.int64) // block_size)
    ends = np.cumsum(counts)
    owners = np.where(selected.replicas, selected.replicas, np.uint8(replicas))
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, CHUNK):
        ordinals = np.arange(start, min(start + CHUNK, total))
        at = np.searchsorted(ends, ordinals, side="right")
        index = ordinals - (ends[at] - counts[at])
        yield Chunk(snapshot, block_size, selected.rows[at], index, owners[at])


def owners(placement: Placement, chunk: Chunk) -> npt.NDArray[np.bool_]:
    """Who fetches which block: shape (blocks, `placement.store_ids`)."""
    wanted = np.zeros((len(chunk), len(placement)), dtype=np.bool_)
    if not wanted.size:
        return wanted
    ranked = placement.rank_many(chunk.keys, int(chunk.replicas.max()))
    row = np.arange(len(chunk))
    for place in range(ranked.shape[1]):
        fetches = place < chunk.replicas
        wanted[row[fetches], ranked[fetches, place]] = True
    return wanted


def share_of(placement: Placement, me: str, chunk: Chunk) -> list[Block]:
    """The blocks of the chunk that the member with the store id `me` owns."""
    members = placement.store_ids
    if me not in members:
        return []
    return chunk.blocks(owners(placement, chunk)[:, members.index(me)])
