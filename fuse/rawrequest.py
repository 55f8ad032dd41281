"""Requests of the kernel as bytes: as much of them as the keeper has to read and answer itself.

Layouts and numbers: linux/fuse.h, struct fuse_in_header, fuse_out_header, FUSE_UNIQUE_RESEND.
"""

import struct
from typing import NamedTuple

_IN = struct.Struct("=IIQQIIII")
_OUT = struct.Struct("=IiQ")

_RESENT = 1 << 63
"""A bit of a request's number that the kernel sets when it sends the request again."""

FORGET, READ, INTERRUPT, NOTIFY_REPLY, BATCH_FORGET = 2, 15, 36, 41, 42
_UNANSWERED = frozenset({FORGET, INTERRUPT, NOTIFY_REPLY, BATCH_FORGET})


class RawRequest(NamedTuple):
    """A request that was read."""

    unique: int
    """Its number, as the answer has to bear it."""
    opcode: int

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
    _, opcode, unique, *_ = _IN.unpack_from(data)
    return RawRequest(unique, opcode)


def failure(request: RawRequest, number: int) -> bytes:
    """The answer that it fails with this errno."""
    return _OUT.pack(_OUT.size, -number, request.unique)
