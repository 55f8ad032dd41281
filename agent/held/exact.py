"""What is held, counted block by block: by asking every member.

A dataset's blocks have the same ordinals on every member (`Snapshot.block_starts`), so what a
member holds is a bitmap, and what the mesh holds is their union.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from meshcache.agent.mesh import MeshView, Peer
from meshcache.agent.mesh.peers import PeerClient
from meshcache.agent.snapshots import OpenSnapshot
from meshcache.block import BlockId
from meshcache.dataset import Dataset
from meshcache.errors import MeshcacheError
from meshcache.snapshot import Snapshot
from meshcache.store import Store

Bitmap = npt.NDArray[np.bool_]
"""Shape (blocks of the dataset,): whether the block with that ordinal is held."""

ANSWER_WITHIN = 3.0
"""Seconds that members have to say what they hold; one that is late counts as holding nothing."""

ASKED_AT_A_TIME = 32
"""An answer for a million files has 125 kB."""


class Answers(msgspec.Struct):
    """How an exact count went."""

    asked: int
    """Living members, this one among them."""
    answered: int
    """Those that answered in time; what the others hold was not counted."""


async def held_here(opened: OpenSnapshot, store: Store, block_size: int) -> Bitmap:
    """What this node's store holds of a snapshot."""
    ids = store.ids()  # as they are now: the thread sees no change
    return await asyncio.to_thread(
        lambda: mark(opened.snapshot, block_size, [id for id in ids if id.block_size == block_size])
    )


def mark(snapshot: Snapshot, block_size: int, ids: Sequence[BlockId]) -> Bitmap:
    """Which blocks of a snapshot are among these, which have that size. A file that stands at two
    paths has its blocks marked at both."""
    starts = snapshot.block_starts(block_size)
    versions = np.frombuffer(b"".join(id.version[:8] for id in ids), dtype="<u8")
    indexes = np.fromiter((id.index for id in ids), np.int64, len(ids))
    known = snapshot.version[snapshot.by_version]
    first, end = (np.searchsorted(known, versions, side=side) for side in ("left", "right"))
    times = end - first
    before = np.cumsum(times) - times
    places = np.repeat(first - before, times) + np.arange(int(times.sum()))
    rows, indexes = snapshot.by_version[places], np.repeat(indexes, times)
    ordinals = starts[rows] + indexes
    bitmap = np.zeros(int(starts[-1]), dtype=np.bool_)
    bitmap[ordinals[ordinals < starts[rows.astype(np.int64) + 1]]] = True
    return bitmap


async def ask_all(
    *,
    dataset: Dataset,
    opened: OpenSnapshot,
    store: Store,
    mesh: MeshView,
    client: PeerClient,
    take: Callable[[str, Bitmap], None],
) -> Answers:
    """Have `take` called with each living member's store id and bitmap, as they come."""
    own = await held_here(opened, store, dataset.block_size)
    take(mesh.me, own)
    target = f"/v1/datasets/{dataset.name}/held?snapshot={opened.snapshot.id}"
    turn = asyncio.Semaphore(ASKED_AT_A_TIME)

    async def ask(peer: Peer) -> bool:
        try:
            async with turn, asyncio.timeout(ANSWER_WITHIN):
                bitmap = unpack(await client.get(peer, target), own.size)
        except (MeshcacheError, TimeoutError):
            return False
        if bitmap is None:
            return False
        take(peer.store_id, bitmap)
        return True

    others = mesh.living()
    answered = await asyncio.gather(*map(ask, others))
    return Answers(asked=1 + len(others), answered=1 + sum(answered))


def block_lengths(snapshot: Snapshot, block_size: int) -> npt.NDArray[np.int64]:
    """The bytes of each block, by its ordinal: a file's last one may be short."""
    starts = snapshot.block_starts(block_size)
    sizes = snapshot.size.astype(np.int64)
    has_blocks = starts[1:] > starts[:-1]
    last = starts[1:][has_blocks] - 1
    missing = (starts[1:] - starts[:-1])[has_blocks] * block_size - sizes[has_blocks]
    lengths = np.full(int(starts[-1]), block_size, dtype=np.int64)
    lengths[last] -= missing
    return lengths


def blocks_below(snapshot: Snapshot, row: int, block_size: int) -> Bitmap:
    """The blocks of the file at `row`, or of all files below that directory."""
    starts = snapshot.block_starts(block_size)
    below = np.zeros(int(starts[-1]), dtype=np.bool_)
    for rows in snapshot.levels(row):
        if len(rows):  # the rows of a level stand together
            below[starts[rows[0]] : starts[rows[-1] + 1]] = True
    return below


def pack(bitmap: Bitmap) -> bytes:
    """A bitmap for the wire: 8 blocks to a byte."""
    return np.packbits(bitmap).tobytes()


def unpack(data: bytes, blocks: int) -> Bitmap | None:
    """What `pack` wrote; None if it is not of that many blocks."""
    if len(data) != -(-blocks // 8):
        return None
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=blocks).astype(np.bool_)
