"""The file of a block: its data from offset 0, then a trailer that names and proves it.

======  ====================================================================================
bytes   of the trailer, little endian
======  ====================================================================================
8       ``MeshBlk`` and the version of this format, 1
32      file version id
8       block size
8       index
8       data length
32 * n  blake3 of each of the n pieces of 256 KiB of the data
32      blake3 of the trailer up to here
======  ====================================================================================

The data comes first so that it can be mapped; the block's name is in the trailer so that a file
that came under another block's name is told. The trailer's place follows from the file's size.
"""

import os
import struct

from blake3 import blake3

from meshcache.block import CHECKSUM_SIZE, PIECE_SIZE, BlockId, piece_count
from meshcache.errors import ChecksumMismatch

_MAGIC = b"MeshBlk\x01"
_HEAD = struct.Struct("<8s32sQQQ")
_FRAME = _HEAD.size + CHECKSUM_SIZE
"""Bytes of a trailer without its pieces' checksums: 96."""


def trailer_size(length: int) -> int:
    """Bytes of the trailer behind `length` bytes of data."""
    return _FRAME + CHECKSUM_SIZE * piece_count(length)


def data_length(file_size: int) -> int | None:
    """Bytes of data in a block's file of that size; None if no block has such a file."""
    payload = file_size - _FRAME
    pieces = -(-payload // (PIECE_SIZE + CHECKSUM_SIZE))
    length = payload - CHECKSUM_SIZE * pieces
    return length if length > 0 and piece_count(length) == pieces else None


def encode(block_id: BlockId, length: int, checksums: bytes) -> bytes:
    """The trailer of a block."""
    head = _HEAD.pack(_MAGIC, block_id.version, block_id.block_size, block_id.index, length)
    body = head + checksums
    return body + blake3(body).digest()


def decode(trailer: bytes | bytearray, block_id: BlockId, length: int) -> bytes:
    """The checksums of the pieces, from the trailer of that block.

    Raises:
        ChecksumMismatch: it is damaged, or the trailer of another block.
    """
    checksums = bytes(trailer[_HEAD.size : -CHECKSUM_SIZE])
    if trailer != encode(block_id, length, checksums):
        raise ChecksumMismatch(f"block {block_id}: the trailer of its file is damaged")
    return checksums


def read_trailer(fd: int, block_id: BlockId, flags: int = 0) -> tuple[int, bytes]:
    """The length of a block's data and its pieces' checksums, from the end of its file.

    `flags` are those of preadv2(2): RWF_NOWAIT reads only what is in memory already.

    Raises:
        ChecksumMismatch: the trailer is damaged, or that of another block.
        BlockingIOError: RWF_NOWAIT was given and the disk would have to be read.
    """
    length = data_length(os.fstat(fd).st_size)
    if length is None:
        raise ChecksumMismatch(f"block {block_id}: its file is cut short")
    trailer = bytearray(trailer_size(length))
    got = os.preadv(fd, [trailer], length, flags)
    if got != len(trailer):
        if flags:
            raise BlockingIOError(f"block {block_id}: a part of its trailer is on disk")
        raise ChecksumMismatch(f"block {block_id}: its file is cut short")
    return length, decode(trailer, block_id, length)


def verify(fd: int, block_id: BlockId) -> tuple[int, bytes]:
    """As `read_trailer`, after reading all data and comparing every checksum.

    It reads rather than maps: an unreadable sector is an OSError here and would be SIGBUS there.
    """
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
    length, checksums = read_trailer(fd, block_id)
    piece = memoryview(bytearray(min(length, PIECE_SIZE)))
    for number, start in enumerate(range(0, length, PIECE_SIZE)):
        part = piece[: min(PIECE_SIZE, length - start)]
        wanted = checksums[number * CHECKSUM_SIZE : (number + 1) * CHECKSUM_SIZE]
        if os.preadv(fd, [part], start) != len(part) or blake3(part).digest() != wanted:
            raise ChecksumMismatch(f"block {block_id}: piece {number} of its file is damaged")
    return length, checksums
