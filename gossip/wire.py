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
from typing import Annotated

import msgspec
from msgspec import Meta

from meshcache.gossip.errors import FrameInvalid

MAGIC = b"MC"
VERSION = 1
"""The version in a frame's header. It changes only if `Hello` can no longer be read."""
SPEAKS = (1, 1)
"""The oldest and newest protocol that this program speaks; two members use the highest common."""

MAX_FRAME = 128 * 1024
"""No frame is longer. Bulk (rows of the table) is cut into frames of `BULK` bytes."""
BULK = 48 * 1024

_HEADER = struct.Struct("!2sBB4s8s")
NOBODY = bytes(8)

Uid = Annotated[bytes, Meta(min_length=16, max_length=16)]
Hash8 = Annotated[bytes, Meta(min_length=8, max_length=8)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Address = Annotated[str, Meta(max_length=280)]
Tag = Annotated[str, Meta(max_length=256)]
Tags = Annotated[dict[Tag, Tag], Meta(max_length=32)]
Count = Annotated[int, Meta(ge=0, lt=2**32)]
Stamp = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Small = Annotated[int, Meta(ge=0, lt=256)]
Text = Annotated[str, Meta(max_length=300)]
Buckets = Annotated[bytes, Meta(max_length=256)]


class _Message(msgspec.Struct, array_like=True, frozen=True):
    """A message: an array whose newer trailing fields are ignored."""


# --- what is said about members and the map (inside rumours and rows) ------------------------


class Record(_Message, frozen=True):
    """What a member says of itself. Only the member makes one; a change raises `incarnation`."""

    uid: Uid
    name: Name
    address: Address
    epoch: Stamp
    """When the process started, in ms since 1970: of two processes, which is the newer."""
    incarnation: Count
    role: Small
    """0 full, 1 leaf."""
    tags: Tags
    speaks: Annotated[tuple[Small, Small], Meta()] = SPEAKS
    features: Stamp = 0


class MapEntry(_Message, frozen=True):
    """One entry of the replicated map; without a value it is a tombstone."""

    space: Annotated[str, Meta(min_length=1, max_length=64)]
    key: Annotated[str, Meta(min_length=1, max_length=256)]
    value: Annotated[bytes, Meta(max_length=4096)] | None
    clock: Stamp
    """Hybrid logical clock: ms since 1970 << 16 | counter (Kulkarni et al. 2014)."""
    writer: Uid


class Row(_Message, frozen=True):
    """A line of the members table, for those that missed the rumour."""

    record: Record
    status: Small
    incarnation: Count
    since: Stamp
    """When it failed or left, ms since 1970; 0 for a living one."""


# --- rumours: what floods -------------------------------------------------------------------


class Alive(_Message, frozen=True, tag=1):
    """A member's own record: it joined, changed its tags, or refutes."""

    record: Record


class Alert(_Message, frozen=True, tag=2):
    """An observer's word about its subject; a later one (`number`) replaces it."""

    subject: Uid
    incarnation: Count
    observer: Uid
    number: Count
    kind: Small
    """0 heard again, 1 silent, 2 refused."""


class Dead(_Message, frozen=True, tag=3):
    """The mesh's verdict; whoever comes to it says it in the same bytes."""

    uid: Uid
    incarnation: Count
    cause: Small
    """1 silent, 2 refused, 3 another process answers at its address."""


class Gone(_Message, frozen=True, tag=4):
    """A member leaves by its own will; it is the last thing that it says."""

    uid: Uid
    incarnation: Count


class Written(_Message, frozen=True, tag=5):
    """A write to the replicated map."""

    entry: MapEntry


class Happened(_Message, frozen=True, tag=6):
    """A user's event, or a query that asks for replies."""

    origin: Uid
    number: Stamp
    name: Name
    payload: Annotated[bytes, Meta(max_length=1024)]
    query: bool = False
    to: Annotated[list[Uid], Meta(max_length=64)] = []
    """Of a query: who is asked; empty is everybody."""
    acks: bool = False
    """Of a query: each who is asked says that it arrived."""


Rumour = Alive | Alert | Dead | Gone | Written | Happened


# --- messages: what goes over one link ------------------------------------------------------


class Hello(_Message, frozen=True):
    """The first frame of each side of a link: who I am, whom I take you for, what I speak."""

    record: Record
    speaks: tuple[Small, Small]
    features: Stamp
    reply: bool
    size: Count = 0
    """How many members the sender knows alive."""


class Goaway(_Message, frozen=True):
    """The last frame of a link, with the reason."""

    code: Small
    text: Text = ""


class Redirect(_Message, frozen=True):
    """Too many are joining here: ask one of these."""

    addresses: Annotated[list[Address], Meta(max_length=8)]


class Beat(_Message, frozen=True):
    """I live. From each member to its observers, once in a period."""


class Probe(_Message, frozen=True):
    """Answer at once."""

    number: Count


class Probed(_Message, frozen=True):
    """The answer to a probe."""

    number: Count


class Rumours(_Message, frozen=True):
    """Rumours that this link passes on whole (eager), newest last."""

    items: Annotated[list[msgspec.Raw], Meta(max_length=1024)]


class Ihave(_Message, frozen=True):
    """Rumours that this link only names (lazy): ask (`Graft`) for those that you miss."""

    ids: Annotated[list[Hash8], Meta(max_length=4096)]


class Graft(_Message, frozen=True):
    """Send me these rumours, and from now on all of them."""

    ids: Annotated[list[Hash8], Meta(max_length=4096)]


class Prune(_Message, frozen=True):
    """I get the rumours from another: only name yours."""


class Digest(_Message, frozen=True):
    """Anti-entropy, first step: a hash of everything. Equal is the end of it."""

    members: Hash8
    entries: Hash8
    floor: Stamp = 0
    """The clock of the newest tombstone that the sender forgot (see `core.statemap`)."""


class Differ(_Message, frozen=True):
    """Second step: the hashes of 256 buckets, 8 B each, of what differs (else empty)."""

    members: Annotated[bytes, Meta(max_length=2048)]
    entries: Annotated[bytes, Meta(max_length=2048)]


class Rows(_Message, frozen=True):
    """Third step: all rows of some buckets, and the buckets whose rows are asked for in return."""

    rows: Annotated[list[Row], Meta(max_length=1024)]
    entries: Annotated[list[MapEntry], Meta(max_length=2048)]
    want_members: Buckets = b""
    want_entries: Buckets = b""


class Reply(_Message, frozen=True):
    """One member's answer to a query, passed to who asked."""

    asker: Uid
    number: Stamp
    member: Uid
    payload: Annotated[bytes, Meta(max_length=1024)] | None
    """None: the query arrived (an acknowledgement), an answer may follow."""


KINDS: dict[int, type[_Message]] = {
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
}
_NUMBERS = {kind: number for number, kind in KINDS.items()}
_DECODERS = {number: msgspec.msgpack.Decoder(kind) for number, kind in KINDS.items()}
_encoder = msgspec.msgpack.Encoder()
_rumour_decoder: msgspec.msgpack.Decoder[Rumour] = msgspec.msgpack.Decoder(Rumour)

Message = (
    Hello
    | Goaway
    | Redirect
    | Beat
    | Probe
    | Probed
    | Rumours
    | Ihave
    | Graft
    | Prune
    | Digest
    | Differ
    | Rows
    | Reply
)


def mesh_id(name: str) -> bytes:
    """The 4 B that keep two meshes apart which share a key by mistake."""
    return hashlib.blake2b(name.encode(), digest_size=4, person=b"meshcache mesh").digest()


def encode(message: _Message, *, mesh: bytes, to: bytes) -> bytes:
    """The frame of `message` for the process whose uid begins with `to` (`NOBODY` if unknown)."""
    header = _HEADER.pack(MAGIC, VERSION, _NUMBERS[type(message)], mesh, to[:8])
    return header + _encoder.encode(message)


def decode(frame: bytes, *, mesh: bytes, me: bytes) -> Message | None:
    """The message in `frame`, or None for a kind that this version does not know.

    Raises:
        FrameInvalid: too long, not of this mesh, for another process, or malformed.
    """
    if len(frame) > MAX_FRAME:
        raise FrameInvalid(f"frame of {len(frame)} B is longer than {MAX_FRAME}")
    if len(frame) < _HEADER.size:
        raise FrameInvalid("frame is shorter than its header")
    magic, version, number, its_mesh, to = _HEADER.unpack_from(frame)
    if magic != MAGIC or version != VERSION:
        raise FrameInvalid(f"not a frame of version {VERSION}")
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
