"""Snapshots of any shape, and the whole truth about what is held of them."""

from collections.abc import Sequence

import numpy as np

from meshcache.agent.held.exact import block_lengths, mark
from meshcache.agent.held.sample import Sample, keys_of
from meshcache.block import BlockId, FileVersion
from meshcache.origin.base import Listed
from meshcache.snapshot import Builder, Snapshot

ORIGIN = "test:"


def snapshot_of(sizes: Sequence[int], tags: Sequence[str] = ()) -> Snapshot:
    """Files called 0, 1, ... of these sizes, in one directory."""
    builder = Builder([("/", ORIGIN)])
    for number, size in enumerate(sizes):
        name = f"{number:07}"
        tag = tags[number] if tags else "v1"
        builder.add(0, Listed(name, name, size, 0, tag))
    return Snapshot(builder.build())


def blocks_of(snapshot: Snapshot, block_size: int) -> list[BlockId]:
    """The ids of all blocks, by ordinal."""
    return [block.id for row in snapshot.walk() for block in snapshot.file(row).blocks(block_size)]


def truth(snapshot: Snapshot, block_size: int, held: Sequence[BlockId]) -> int:
    """The bytes that these blocks have, counted one by one."""
    lengths = block_lengths(snapshot, block_size)
    return int(lengths[mark(snapshot, block_size, held)].sum())


def estimate(sample: Sample, held: Sequence[BlockId], level: int = 0) -> int:
    """The same, as the sample tells it."""
    marks = sample.nothing()
    sample.mark(marks, keys_of(held), True)
    return sample.at(level).bytes_of(sample.bits(marks, level))


def other_block(number: int, block_size: int) -> BlockId:
    """A block of no such snapshot."""
    return FileVersion(ORIGIN, f"other/{number}", "v1", 1 << 30).block(block_size, number).id


def chosen(ids: Sequence[BlockId], share: float, seed: int) -> list[BlockId]:
    """Some of them, at random."""
    lots = np.random.default_rng(seed).random(len(ids))
    return [id for id, lot in zip(ids, lots.tolist(), strict=True) if lot < share]
