"""A hash of a set of versioned things, in 256 buckets, kept up to date by each change.

Each thing is hashed to 64 bits and XORed into the bucket of its key. Members hold the same things
if their hashes agree; where they differ tells which part must be exchanged.
"""

import hashlib
import sys
from array import array

BUCKETS = 256


def item_hash(data: bytes) -> int:
    """64 bits of one versioned thing."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def _big_endian(hashes: "array[int]") -> "array[int]":
    if sys.byteorder == "little":
        hashes = hashes[:]
        hashes.byteswap()
    return hashes


class Digest:
    """The bucket hashes."""

    def __init__(self) -> None:
        self._buckets = array("Q", bytes(8 * BUCKETS))
        self._total = 0

    def __copy__(self) -> "Digest":
        twin = Digest()
        twin._buckets, twin._total = self._buckets[:], self._total
        return twin

    def toggle(self, bucket: int, item: int) -> None:
        """Add an item's hash to its bucket, or take it out again."""
        self._buckets[bucket] ^= item
        self._total ^= item

    @property
    def total(self) -> bytes:
        """8 B over everything."""
        return self._total.to_bytes(8, "big")

    def buckets(self) -> bytes:
        """The 256 hashes, 8 B each, big-endian."""
        return _big_endian(self._buckets).tobytes()

    def differing(self, theirs: bytes) -> list[int]:
        """The buckets in which another's `buckets()` differ; none if it is not of that length."""
        if len(theirs) != 8 * BUCKETS:
            return []
        pairs = zip(self._buckets, _big_endian(array("Q", theirs)), strict=True)
        return [index for index, (mine, other) in enumerate(pairs) if mine != other]
