"""Frames: what members say to each other, and nothing about what they mean by it.

A frame is a fixed header and one msgpack array:

    2 B  magic "MC"          1 B  protocol version        1 B  kind of message
    4 B  mesh id             8 B  the first half of the uid of the process it is meant for

The receiver's uid is in each frame because libzmq delivers what was queued for a dead process to
the one that is started after it at the same address. Only `Hello` may leave it empty (zeros).

Messages are arrays: a newer version may append fields, which an older one ignores; kinds that are
not known are dropped. Each field has its limit here, so that nothing that came through `decode`
can be larger than its place, and `decode` raises nothing but `FrameInvalid`.
"""

import hashlib
import struct

import msgspec

from meshcache.gossip.errors import FrameInvalid, OtherVersion
from meshcache.gossip.messages import (
    ARBITERS,
    FEATURES,
    SPEAKS,
    Alert,
    Alive,
    Array,
    Beat,
    Dead,
    Differ,
    Digest,
    Goaway,
    Gone,
    Graft,
    Happened,
    Hello,
    Ihave,
    MapEntry,
    Message,
    Probe,
    Probed,
    Prune,
    Reach,
    Reached,
    Record,
    Redirect,
    Reply,
    Row,
    Rows,
    Rumour,
    Rumours,
    Written,
)

__all__ = [
    "ARBITERS",
    "BULK",
    "FEATURES",
    "KINDS",
    "MAGIC",
    "MAX_FRAME",
    "NOBODY",
    "SPEAKS",
    "VERSION",
    "Alert",
    "Alive",
    "Array",
    "Beat",
    "Dead",
    "Differ",
    "Digest",
    "FrameInvalid",
    "Goaway",
    "Gone",
    "Graft",
    "Happened",
    "Hello",
    "Ihave",
    "MapEntry",
    "Message",
    "Probe",
    "Probed",
    "Prune",
    "Reach",
    "Reached",
    "Record",
    "Redirect",
    "Reply",
    "Row",
    "Rows",
    "Rumour",
    "Rumours",
    "Written",
    "decode",
    "decode_rumour",
    "encode",
    "encode_rumour",
    "mesh_id",
    "rumour_id",
    "tags_size",
]

MAGIC = b"MC"
VERSION = 1
"""The version in a frame's header. It changes only if `Hello` can no longer be read."""

MAX_FRAME = 128 * 1024
"""No frame is longer. Bulk (rows of the table) is cut into frames of `BULK` bytes."""
BULK = 48 * 1024

_HEADER = struct.Struct("!2sBB4s8s")
NOBODY = bytes(8)

KINDS: dict[int, type[Array]] = {
    1: Hello,
    2: Goaway,
    3: Redirect,
    4: Beat,
    5: Probe,
    6: Probed,
    7: Rumours,
    8: Ihave,
    9: Graft,
    10: Prune,
    11: Digest,
    12: Differ,
    13: Rows,
    14: Reply,
    15: Reach,
    16: Reached,
}
_NUMBERS = {kind: number for number, kind in KINDS.items()}
_DECODERS = {number: msgspec.msgpack.Decoder(kind) for number, kind in KINDS.items()}
_encoder = msgspec.msgpack.Encoder()
_rumour_decoder: msgspec.msgpack.Decoder[Rumour] = msgspec.msgpack.Decoder(Rumour)


def mesh_id(name: str) -> bytes:
    """The 4 B that keep two meshes apart which share a key by mistake."""
    return hashlib.blake2b(name.encode(), digest_size=4, person=b"meshcache mesh").digest()


def encode(message: Array, *, mesh: bytes, to: bytes) -> bytes:
    """The frame of `message` for the process whose uid begins with `to` (`NOBODY` if unknown)."""
    header = _HEADER.pack(MAGIC, VERSION, _NUMBERS[type(message)], mesh, to[:8])
    return header + _encoder.encode(message)


def decode(frame: bytes, *, mesh: bytes, me: bytes) -> Message | None:
    """The message in `frame`, or None for a kind that this version does not know.

    Raises:
        FrameInvalid: too long, not of this mesh, for another process, or malformed.
        OtherVersion: its header says that it cannot be read here.
    """
    if len(frame) > MAX_FRAME:
        raise FrameInvalid(f"frame of {len(frame)} B is longer than {MAX_FRAME}")
    if len(frame) < _HEADER.size:
        raise FrameInvalid("frame is shorter than its header")
    magic, version, number, its_mesh, to = _HEADER.unpack_from(frame)
    if magic == MAGIC and version != VERSION:
        raise OtherVersion(f"a frame of version {version}, this member reads {VERSION}")
    if magic != MAGIC:
        raise FrameInvalid("not a frame")
    if its_mesh != mesh:
        raise FrameInvalid("frame of another mesh")
    if to != me[:8] and not (to == NOBODY and number == 1):
        raise FrameInvalid("frame for another process")
    decoder = _DECODERS.get(number)
    if decoder is None:
        return None
    try:
        message: Message = decoder.decode(memoryview(frame)[_HEADER.size :])  # type: ignore[assignment]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise FrameInvalid(f"malformed {KINDS[number].__name__}: {error}") from error
    return message


def encode_rumour(rumour: Rumour) -> bytes:
    """The bytes of a rumour: the same for everybody who says the same."""
    return _encoder.encode(rumour)


def decode_rumour(raw: bytes | memoryview | msgspec.Raw) -> Rumour:
    """The rumour in `raw`.

    Raises:
        FrameInvalid: malformed, or of a kind that this version does not know.
    """
    try:
        return _rumour_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise FrameInvalid(f"malformed rumour: {error}") from error


def rumour_id(raw: bytes | memoryview | msgspec.Raw) -> bytes:
    """8 B that name a rumour: a hash of its bytes, so that equal words are one rumour."""
    return hashlib.blake2b(raw, digest_size=8).digest()


def tags_size(tags: dict[str, str]) -> int:
    """The bytes that tags count for: those of their names and values."""
    return sum(len(name.encode()) + len(value.encode()) for name, value in tags.items())
