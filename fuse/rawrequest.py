"""Requests of the kernel as bytes: as much of them as the keeper has to read and answer itself.

Layouts and numbers: linux/fuse.h, struct fuse_in_header, fuse_out_header, FUSE_UNIQUE_RESEND.
"""

import struct
from typing import NamedTuple

_IN = struct.Struct("=IIQQIIII")
_OUT = struct.Struct("=IiQ")
_READ_OFFSET = struct.Struct("=Q")
"""In struct fuse_read_in, behind the handle of 8 bytes."""

_RESENT = 1 << 63
"""A bit of a request's number that the kernel sets when it sends the request again."""

FORGET, OPEN, READ, INTERRUPT, NOTIFY_REPLY, BATCH_FORGET = 2, 14, 15, 36, 41, 42
_UNANSWERED = frozenset({FORGET, INTERRUPT, NOTIFY_REPLY, BATCH_FORGET})


class Asked(NamedTuple):
    """What a request asks. Two readers of the same bytes may ask the same."""

    opcode: int
    inode: int
    offset: int
    """In the file, of a read; else 0."""


class RawRequest(NamedTuple):
    """A request that was read."""

    unique: int
    """Its number, as the answer has to bear it."""
    asked: Asked

    @property
    def opcode(self) -> int:
        return self.asked.opcode

    @property
    def number(self) -> int:
        """The same however often it was sent."""
        return self.unique & ~_RESENT

    @property
    def wants_answer(self) -> bool:
        return self.opcode not in _UNANSWERED


def parse(data: bytes | memoryview) -> RawRequest:
    """Read a request.

    Raises:
        ValueError: the bytes are none.
    """
    if len(data) < _IN.size:
        raise ValueError(f"a request of {len(data)} bytes")
    _, opcode, unique, inode, *_ = _IN.unpack_from(data)
    offset = 0
    if opcode == READ:
        (offset,) = _READ_OFFSET.unpack_from(data, _IN.size + 8)
    return RawRequest(unique, Asked(opcode, inode, offset))


def sent_again(number: int) -> int:
    """What a request's answer has to bear once the kernel has sent it again."""
    return number | _RESENT


def failure(unique: int, error: int) -> bytes:
    """The answer that a request fails with this errno."""
    return _OUT.pack(_OUT.size, -error, unique)
