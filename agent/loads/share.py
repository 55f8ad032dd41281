"""Which blocks of a load a member fetches: computed by each for itself, alike by all. Pure."""

from collections.abc import Iterator
from itertools import islice

import msgspec
import numpy as np
import numpy.typing as npt

from meshcache.agent.loads.selection import Selected
from meshcache.block import Block, block_count
from meshcache.placement import Placement, hash64
from meshcache.snapshot import Snapshot

CHUNK = 1024
"""Blocks that are looked at in one go: some 10 ms."""


class Chunk(msgspec.Struct, frozen=True, eq=False):
    """Some blocks of a load, in the order of the files."""

    rows: list[int]
    """For each block the snapshot's row of its file."""
    blocks: list[Block]
    keys: npt.NDArray[np.uint64]
    """For each block what it is placed by (`meshcache.placement.hash64` of its id)."""
    replicas: npt.NDArray[np.uint8]
    """For each block how many owners fetch it."""


def chunks(
    snapshot: Snapshot, selected: Selected, block_size: int, replicas: int
) -> Iterator[Chunk]:
    """All blocks of the selected files; `replicas` is for those that do not say."""
    pairs = _blocks(snapshot, selected, block_size, replicas)
    while batch := list(islice(pairs, CHUNK)):
        blocks = [block for _, block, _ in batch]
        keys = (hash64(str(block.id).encode()) for block in blocks)
        yield Chunk(
            [row for row, _, _ in batch],
            blocks,
            np.fromiter(keys, np.uint64, len(blocks)),
            np.fromiter((count for _, _, count in batch), np.uint8, len(batch)),
        )


def _blocks(
    snapshot: Snapshot, selected: Selected, block_size: int, replicas: int
) -> Iterator[tuple[int, Block, int]]:
    for row, own in zip(selected.rows.tolist(), selected.replicas.tolist(), strict=True):
        if not snapshot.size[row]:
            continue
        file = snapshot.file(row)
        for index in range(block_count(file.size, block_size)):
            yield row, Block(file, block_size, index), own or replicas


def owners(placement: Placement, chunk: Chunk) -> npt.NDArray[np.bool_]:
    """Who fetches which block: shape (blocks, `placement.store_ids`)."""
    wanted = np.zeros((len(chunk.blocks), len(placement)), dtype=np.bool_)
    if not wanted.size:
        return wanted
    ranked = placement.rank_many(chunk.keys, int(chunk.replicas.max()))
    row = np.arange(len(chunk.blocks))
    for place in range(ranked.shape[1]):
        fetches = place < chunk.replicas
        wanted[row[fetches], ranked[fetches, place]] = True
    return wanted


def share_of(placement: Placement, me: str, chunk: Chunk) -> list[tuple[int, Block]]:
    """The blocks of the chunk that the member with the store id `me` owns, with their rows."""
    members = placement.store_ids
    if me not in members:
        return []
    mine = owners(placement, chunk)[:, members.index(me)]
    return [(chunk.rows[n], chunk.blocks[n]) for n in np.flatnonzero(mine).tolist()]
