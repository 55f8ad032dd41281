"""What the core tells its driver: outputs for the transport, events for the user."""

import enum
from dataclasses import dataclass

# --- outputs, for the transport -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send this frame over this link; drop it if the link is closed."""

    link: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Open:
    """Connect once to this address under this (new, positive) link number, and report how it
    ends: `link_closed(link, why)`. Frames may be sent at once, they wait for the connection."""

    link: int
    address: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close this outbound link after what was sent; nothing is reported."""

    link: int


@dataclass(frozen=True, slots=True)
class Resolve:
    """Look the seeds up (again) and report `found(addresses)`."""


Output = Send | Open | Close | Resolve


class Why(enum.Enum):
    """How a link ended."""

    CLOSED = "closed"
    """It was up, and the other side's kernel closed or reset it."""
    REFUSED = "refused"
    """Nobody listens at the address."""
    UNREACHABLE = "unreachable"
    """No answer, no route, or one that is not of this mesh."""


# --- events, for the user -------------------------------------------------------------------


class State(enum.StrEnum):
    """How a member is seen."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    FAILED = "failed"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Member:
    """One process of the mesh, as this member sees it."""

    uid: str
    """32 hex digits, random, new at each start of the process."""
    name: str
    address: str
    """Where its gossip listens, ``host:port``."""
    state: State
    incarnation: int
    role: str
    """``full`` or ``leaf``."""
    tags: dict[str, str]
    since: float
    """When this member learned the state, seconds since 1970."""
    epoch: int
    """When the process started, ms since 1970."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member is looked at just now, as this member sees it."""

    observers: tuple[str, ...]
    """Uids of those that observe it; empty for a leaf, which nobody observes."""
    accusers: tuple[str, ...]
    """Those of them that miss it at the moment."""
    round_trip: float | None
    """Seconds to it and back, when last measured; None without a link to it."""


@dataclass(frozen=True, slots=True)
class _OfMember:
    """Something about one member, as it is now."""

    member: Member


class MemberJoined(_OfMember):
    """A member is here: new, or back from `failed`."""

    __slots__ = ()


class MemberUpdated(_OfMember):
    """A member changed its tags or its address."""

    __slots__ = ()


class MemberSuspect(_OfMember):
    """A majority of its observers miss a member: route around it, move nothing."""

    __slots__ = ()


class MemberAlive(_OfMember):
    """A suspect answered."""

    __slots__ = ()


class MemberFailed(_OfMember):
    """A member is dead to the mesh: what it owned moves."""

    __slots__ = ()


class MemberLeft(_OfMember):
    """A member left by its own will."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ViewChanged:
    """The set of members that count (alive or suspect) changed; sent once for many changes that
    come together."""

    members: int


@dataclass(frozen=True, slots=True)
class MapChanged:
    """An entry of the replicated map was written or deleted, here or elsewhere."""

    namespace: str
    key: str


@dataclass(frozen=True, slots=True)
class NameConflict:
    """Two living members have one name; both stay, look-ups by name give the newer."""

    name: str
    uids: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Incompatible:
    """A process at this address speaks no version of the protocol that this one speaks."""

    address: str
    """Empty if its connection came from there and it never said where it listens."""
    detail: str
    mine: tuple[int, int] = (0, 0)
    """The oldest and newest version that this member speaks."""
    theirs: tuple[int, int] | None = None
    """The same of the other; None if not even that can be read."""


@dataclass(frozen=True, slots=True)
class KeyRefused:
    """Who listens at this address takes none of this member's mesh keys: they were changed there,
    or here, or it belongs to another mesh."""

    address: str


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """This member's mesh keys changed; their ids, the one in use first."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserEvent:
    """Somebody's event reached this member (once)."""

    origin: str
    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class QueryAsked:
    """Somebody asks; answer with `reply(query, payload)` if you have something to say."""

    origin: str
    number: int
    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class QueryReply:
    """A member's answer to a query that was asked here; without a payload it only says that the
    query arrived."""

    number: int
    member: str
    payload: bytes | None


Event = (
    MemberJoined
    | MemberUpdated
    | MemberSuspect
    | MemberAlive
    | MemberFailed
    | MemberLeft
    | ViewChanged
    | MapChanged
    | NameConflict
    | Incompatible
    | KeyRefused
    | KeysChanged
    | UserEvent
    | QueryAsked
    | QueryReply
)
