"""Blocks for tests of the store: small, deterministic, each with bytes of its own."""

from blake3 import blake3

from meshcache.block import BlockId
from meshcache.store import Draft, Held, Store
from meshcache.units import KIB

SIZE = 256 * KIB
"""The block size of these blocks: the smallest there is."""


def block_id(number: int, *, size: int = SIZE) -> BlockId:
    """A block; numbers that differ are different files."""
    return BlockId(blake3(f"file {number}".encode()).digest(), size, number % 7)


def bytes_of(identity: BlockId, length: int) -> bytes:
    """The bytes that this block has in all tests."""
    return blake3(str(identity).encode()).digest(length)


def fill(draft: Draft) -> Draft:
    """The draft with its block's bytes in it."""
    draft.view[:] = bytes_of(draft.id, draft.length)
    return draft


async def keep(store: Store, identity: BlockId, length: int = SIZE) -> BlockId:
    """Put a block into the store."""
    (await fill(store.reserve(identity, length)).commit()).release()
    return identity


def is_right(held: Held) -> bool:
    """Whether a loan shows its block's bytes."""
    return bytes(held.view) == bytes_of(held.id, held.length)
