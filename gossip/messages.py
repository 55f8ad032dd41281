"""Messages: what members say to each other, and the limit of each field (`wire` makes the frames).

Messages are arrays: a newer version may append fields, which an older one ignores. A field is never
removed, nor changed in meaning.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

SPEAKS = (1, 1)
"""The oldest and newest protocol that this program speaks; two members use the highest common."""
ARBITERS = 1
"""A feature: answers `Reach`."""
FEATURES = ARBITERS
"""What this program can do beyond what its version says, one bit each. What only some members
understand is sent to those alone that have the bit."""

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


class Array(msgspec.Struct, array_like=True, frozen=True):
    """A message: an array whose newer trailing fields are ignored."""


# --- what is said about members and the map (inside rumours and rows) ------------------------


class Record(Array, frozen=True):
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


class MapEntry(Array, frozen=True):
    """One entry of the replicated map; without a value it is a tombstone."""

    space: Annotated[str, Meta(min_length=1, max_length=64)]
    key: Annotated[str, Meta(min_length=1, max_length=256)]
    value: Annotated[bytes, Meta(max_length=4096)] | None
    clock: Stamp
    """Hybrid logical clock: ms since 1970 << 16 | counter (Kulkarni et al. 2014)."""
    writer: Uid


class Row(Array, frozen=True):
    """A line of the members table, for those that missed the rumour."""

    record: Record
    status: Small
    incarnation: Count
    since: Stamp
    """When it failed or left, ms since 1970; 0 for a living one."""


# --- rumours: what floods -------------------------------------------------------------------


class Alive(Array, frozen=True, tag=1):
    """A member's own record: it joined, changed its tags, or refutes."""

    record: Record


class Alert(Array, frozen=True, tag=2):
    """An observer's word about its subject; a later one (`number`) replaces it."""

    subject: Uid
    incarnation: Count
    observer: Uid
    number: Count
    kind: Small
    """0 heard again, 1 silent, 2 refused."""


class Dead(Array, frozen=True, tag=3):
    """The mesh's verdict; whoever comes to it says it in the same bytes."""

    uid: Uid
    incarnation: Count
    cause: Small
    """1 silent, 2 refused, 3 another process answers at its address."""


class Gone(Array, frozen=True, tag=4):
    """A member leaves by its own will; it is the last thing that it says."""

    uid: Uid
    incarnation: Count


class Written(Array, frozen=True, tag=5):
    """A write to the replicated map."""

    entry: MapEntry


class Happened(Array, frozen=True, tag=6):
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


class Hello(Array, frozen=True):
    """The first frame of each side of a link: who I am, whom I take you for, what I speak."""

    record: Record
    speaks: tuple[Small, Small]
    features: Stamp
    reply: bool
    size: Count = 0
    """How many members the sender knows alive."""


class Goaway(Array, frozen=True):
    """The last frame of a link, with the reason."""

    code: Small
    text: Text = ""
    speaks: tuple[Small, Small] | None = None
    """With code 2: what the sender speaks."""


class Redirect(Array, frozen=True):
    """Too many are joining here: ask one of these."""

    addresses: Annotated[list[Address], Meta(max_length=8)]


class Beat(Array, frozen=True):
    """I live. From each member to its observers, once in a period."""


class Probe(Array, frozen=True):
    """Answer at once."""

    number: Count


class Probed(Array, frozen=True):
    """The answer to a probe."""

    number: Count


class Rumours(Array, frozen=True):
    """Rumours that this link passes on whole (eager), newest last."""

    items: Annotated[list[msgspec.Raw], Meta(max_length=1024)]


class Ihave(Array, frozen=True):
    """Rumours that this link only names (lazy): ask (`Graft`) for those that you miss."""

    ids: Annotated[list[Hash8], Meta(max_length=4096)]


class Graft(Array, frozen=True):
    """Send me these rumours, and from now on all of them."""

    ids: Annotated[list[Hash8], Meta(max_length=4096)]


class Prune(Array, frozen=True):
    """I get the rumours from another: only name yours."""


class Digest(Array, frozen=True):
    """Anti-entropy, first step: a hash of everything. Equal is the end of it."""

    members: Hash8
    entries: Hash8
    floor: Stamp = 0
    """The clock of the newest tombstone that the sender forgot (see `core.statemap`)."""
    events: Annotated[bytes, Meta(max_length=8)] = b""
    """The XOR of the names of the users' events that the sender remembers."""


class Differ(Array, frozen=True):
    """Second step: the hashes of 256 buckets, 8 B each, of what differs (else empty)."""

    members: Annotated[bytes, Meta(max_length=2048)]
    entries: Annotated[bytes, Meta(max_length=2048)]


class Rows(Array, frozen=True):
    """Third step: all rows of some buckets, and the buckets whose rows are asked for in return."""

    rows: Annotated[list[Row], Meta(max_length=1024)]
    entries: Annotated[list[MapEntry], Meta(max_length=2048)]
    want_members: Buckets = b""
    want_entries: Buckets = b""


class Reply(Array, frozen=True):
    """One member's answer to a query, passed to who asked."""

    asker: Uid
    number: Stamp
    member: Uid
    payload: Annotated[bytes, Meta(max_length=1024)] | None
    """None: the query arrived (an acknowledgement), an answer may follow."""


class Reach(Array, frozen=True):
    """Do you reach this member? From an observer that has too many alerts open to trust itself."""

    number: Count
    subject: Uid


class Reached(Array, frozen=True):
    """The answer to `Reach`."""

    number: Count
    reached: bool


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
    | Reach
    | Reached
)
