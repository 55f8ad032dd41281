"""File versions and their blocks: what the mesh places, moves and keeps.

A file version is one state of one object at the origin, and its id is a hash of everything that
tells states apart, so the data under an id never changes and a cache of it is never stale. A block
is a fixed-size part of a file version; a piece is the unit of checksum within a block.
"""

import re
from collections.abc import Iterator

import msgspec
from blake3 import blake3

from meshcache.errors import InvalidInput
from meshcache.units import KIB, MIB

PIECE_SIZE = 256 * KIB
"""Bytes that one checksum covers. The last piece of a block may be shorter."""

CHECKSUM_SIZE = 32
"""Bytes of one piece's checksum (blake3-256)."""

DEFAULT_BLOCK_SIZE = 4 * MIB
MIN_BLOCK_SIZE = PIECE_SIZE
MAX_BLOCK_SIZE = 64 * MIB

_VERSION_CONTEXT = "meshcache 2026 file version"
_BLOCK_ID = re.compile(r"([0-9a-f]{64})-([1-9][0-9]{0,14})-(0|[1-9][0-9]{0,11})")


class BlockId(msgspec.Struct, frozen=True, order=True):
    """The name of a block, the same on every member: ``<version id in hex>-<block size>-<index>``.

    The block size is part of the name: two datasets may cut the same file differently. (A snapshot
    is one block, however large; the limits below are those of datasets.)
    """

    version: bytes
    """The file version's id, 32 bytes."""
    block_size: int
    index: int

    def __str__(self) -> str:
        return f"{self.version.hex()}-{self.block_size}-{self.index}"

    @classmethod
    def parse(cls, text: str) -> "BlockId":
        """Read what `str` wrote.

        Raises:
            InvalidInput: the text is not a block id.
        """
        match = _BLOCK_ID.fullmatch(text)
        if match is None:
            raise InvalidInput(f"{text!r} is not a block id")
        return cls(bytes.fromhex(match[1]), int(match[2]), int(match[3]))


def version_id(origin: bytes, key: bytes, tag: bytes, size: int) -> bytes:
    """`FileVersion.id`, for who has a million of them to make and no use for the objects."""
    fields = (origin, key, tag, b"%d" % size)
    return blake3(
        b"".join([len(field).to_bytes(8, "little") + field for field in fields]),
        derive_key_context=_VERSION_CONTEXT,
    ).digest()


class FileVersion(msgspec.Struct, frozen=True, dict=True):
    """One state of one object at the origin."""

    origin: str
    """The identity of the origin: its canonical URL, endpoint included (`Origin.identity`)."""
    key: str
    """The object's name within the origin, exactly as the origin spells it."""
    tag: str
    """What the origin tells versions apart by: an ETag, a generation, a modification time."""
    size: int
    """Bytes."""

    @property
    def id(self) -> bytes:
        """32 bytes of blake3 over the length-prefixed fields."""
        # Not functools.cached_property: before Python 3.12 it takes a lock, and longer than the
        # hashing. Blocks are made and named by the thousand.
        known: bytes | None = self.__dict__.get("_id")
        if known is None:
            known = self.__dict__["_id"] = self._hashed()
        return known

    def _hashed(self) -> bytes:
        origin, key, tag = (
            field.encode("utf-8", "surrogateescape") for field in (self.origin, self.key, self.tag)
        )
        return version_id(origin, key, tag, self.size)

    def block(self, block_size: int, index: int) -> "Block":
        """The block at `index`, counted from 0.

        Raises:
            InvalidInput: the file has no such block.
        """
        if not 0 <= index < block_count(self.size, block_size):
            raise InvalidInput(f"{self.key!r} ({self.size} bytes) has no block {index}")
        return Block(self, block_size, index)

    def blocks(self, block_size: int) -> Iterator["Block"]:
        """All blocks in order; none of an empty file."""
        for index in range(block_count(self.size, block_size)):
            yield Block(self, block_size, index)


class Block(msgspec.Struct, frozen=True):
    """A block together with the file version it is cut from."""

    file: FileVersion
    block_size: int
    index: int

    @property
    def id(self) -> BlockId:
        return BlockId(self.file.id, self.block_size, self.index)

    @property
    def offset(self) -> int:
        """Where the block begins in the file, in bytes."""
        return self.index * self.block_size

    @property
    def length(self) -> int:
        """Bytes: the block size, but for a file's last block."""
        return min(self.block_size, self.file.size - self.offset)


def block_count(size: int, block_size: int) -> int:
    """How many blocks a file of `size` bytes has."""
    return -(-size // block_size)


def piece_count(length: int) -> int:
    """How many pieces, and so checksums, a block of `length` bytes has."""
    return -(-length // PIECE_SIZE)


def checksums(data: memoryview) -> bytes:
    """The blake3 of each piece of a block, one after the other: 32 bytes for each 256 KiB."""
    return b"".join(
        blake3(data[start : start + PIECE_SIZE]).digest()
        for start in range(0, len(data), PIECE_SIZE)
    )


def check_block_size(block_size: int) -> int:
    """The block size itself, if it may be one.

    Raises:
        InvalidInput: not a power of two from 256 KiB to 64 MiB.
    """
    if not MIN_BLOCK_SIZE <= block_size <= MAX_BLOCK_SIZE or block_size & (block_size - 1):
        raise InvalidInput(f"a block size is a power of two from 256KiB to 64MiB, not {block_size}")
    return block_size
