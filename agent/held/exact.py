"""How much of a dataset the mesh holds: counted, not guessed.

A dataset's blocks have the same ordinals on every member (`Snapshot.block_starts`), so what a
member holds is a bitmap, and what the mesh holds is their union.
"""

import asyncio

import numpy as np
import numpy.typing as npt

from meshcache.agent.snapshots import OpenSnapshot
from meshcache.store import Store

Bitmap = npt.NDArray[np.bool_]
"""Shape (blocks of the dataset,): whether the block with that ordinal is held."""


async def held_here(opened: OpenSnapshot, store: Store, block_size: int) -> Bitmap:
    """What this node's store holds of a snapshot."""
    ids = store.ids()  # as they are now: the thread sees no change

    def mark() -> Bitmap:
        starts = opened.snapshot.block_starts(block_size)
        bitmap = np.zeros(int(starts[-1]), dtype=np.bool_)
        versions = opened.versions()
        for id in ids:
            if id.block_size != block_size:
                continue
            row = versions.get(id.version)
            if row is not None and starts[row] + id.index < starts[row + 1]:
                bitmap[starts[row] + id.index] = True
        return bitmap

    return await asyncio.to_thread(mark)


def held_bytes(opened: OpenSnapshot, bitmap: Bitmap, block_size: int) -> int:
    """The bytes that the marked blocks have: a file's last block may be short."""
    if not bitmap.size:
        return 0
    starts = opened.snapshot.block_starts(block_size)
    sizes = opened.snapshot.size.astype(np.int64)
    has_blocks = starts[1:] > starts[:-1]
    last = starts[1:][has_blocks] - 1
    missing = (starts[1:] - starts[:-1])[has_blocks] * block_size - sizes[has_blocks]
    lengths = np.full(bitmap.size, block_size, dtype=np.int64)
    lengths[last] -= missing
    return int(lengths[bitmap].sum())


def pack(bitmap: Bitmap) -> bytes:
    """A bitmap for the wire: 8 blocks to a byte."""
    return np.packbits(bitmap).tobytes()


def unpack(data: bytes, blocks: int) -> Bitmap | None:
    """What `pack` wrote; None if it is not of that many blocks."""
    if len(data) != -(-blocks // 8):
        return None
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=blocks).astype(np.bool_)
