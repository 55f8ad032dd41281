"""The kernel's first request, FUSE_INIT, as the keeper hands it on.

libfuse answers nothing before it has seen FUSE_INIT, and the kernel sends that once in a mount's
life. So the keeper reads it from the device itself and keeps it; it plays it to each worker over a
socket pair that keeps the borders of messages, and takes the worker's answer from there. The first
answer it passes on. A later worker whose answer differs would speak another protocol than the
kernel was told: it is refused. The worker then puts the real device in the socket's place
(`meshcache.fuse.device`).

The answer passes through the keeper's hands, which is also the one good moment to raise
max_background: libfuse's low-level interface leaves it to a callback that pyfuse3 does not show,
and /sys/fs/fuse/connections is not mounted in most containers.

Layouts: linux/fuse.h, struct fuse_in_header, fuse_out_header, fuse_init_out.
"""

import struct
from typing import NamedTuple

FUSE_INIT = 26

READ_BUFFER = (1 << 20) + 4096
"""Bytes for one request: the kernel refuses a read with less than 8 KiB, or less than the longest
write that was agreed on."""

MAX_BACKGROUND = 1024
"""Readahead requests in flight before the kernel holds back all others of the mount. Its default
of 12 lets a dozen readers of a stalled origin stop every cached read (tried). Without
CAP_SYS_ADMIN the kernel caps it by /sys/module/fuse/parameters/max_user_bgreq."""

CONGESTION_THRESHOLD = 768
"""In flight, from here on the kernel leaves out readahead that nobody waits for yet. Three
quarters of the limit, as the kernel's own default is."""

_IN_HEADER = struct.Struct("=IIQQIIII")
_OUT_HEADER = struct.Struct("=IiQ")
_INIT_IN = struct.Struct("=IIIII")
"""major, minor, max_readahead, flags, flags2."""
_INIT_EXT = 1 << 30
_HAS_RESEND = 1 << (39 - 32)
"""In flags2, which is there if flags has _INIT_EXT."""
_LIMITS = struct.Struct("=HH")
_LIMITS_OFFSET = _OUT_HEADER.size + 16
"""fuse_init_out begins with major, minor, max_readahead and flags, four bytes each."""


class Answer(NamedTuple):
    """A worker's answer to FUSE_INIT."""

    data: bytes
    error: int
    """0, or an errno."""


def is_init(request: bytes) -> bool:
    """Whether these bytes are a FUSE_INIT request."""
    return len(request) >= _IN_HEADER.size and _IN_HEADER.unpack_from(request)[1] == FUSE_INIT


def resends(request: bytes) -> bool:
    """Whether the kernel that sent this FUSE_INIT knows FUSE_NOTIFY_RESEND (Linux 6.9)."""
    if len(request) < _IN_HEADER.size + _INIT_IN.size:
        return False
    *_, flags, flags2 = _INIT_IN.unpack_from(request, _IN_HEADER.size)
    return bool(flags & _INIT_EXT and flags2 & _HAS_RESEND)


def parse_answer(data: bytes) -> Answer:
    """Read an answer's header.

    Raises:
        ValueError: the bytes are no answer.
    """
    if len(data) < _OUT_HEADER.size:
        raise ValueError(f"an answer of {len(data)} bytes")
    length, error, _ = _OUT_HEADER.unpack_from(data)
    if length != len(data):
        raise ValueError(f"an answer of {len(data)} bytes that says it has {length}")
    return Answer(data, -error)


def raise_limits(answer: bytes) -> bytes:
    """The same answer with our max_background and congestion_threshold."""
    if len(answer) < _LIMITS_OFFSET + _LIMITS.size:
        return answer  # protocol 7.12 and older: no such fields
    changed = bytearray(answer)
    _LIMITS.pack_into(changed, _LIMITS_OFFSET, MAX_BACKGROUND, CONGESTION_THRESHOLD)
    return bytes(changed)
