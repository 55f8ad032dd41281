"""A process on the simulated network, and the ends of its connections."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from meshcache.gossip.core.events import Event
from meshcache.gossip.core.node import Node

FIRST_TIMEOUT, LAST_TIMEOUT = 0.2, 120.0
"""TCP retransmission timeouts (Linux: TCP_RTO_MIN, TCP_RTO_MAX)."""

Call = tuple[Callable[..., None], tuple[Any, ...]]


@dataclass(eq=False, repr=False, slots=True)
class End:
    """One side of a connection."""

    process: "Process"
    number: int
    other: "End | None" = None
    open: bool = True
    arrives: float = 0.0
    """When the last segment towards this end arrives: the next one is not earlier."""
    under_way: deque[tuple[float, bytes | None]] = field(default_factory=deque)
    """Segments towards this end, in order: when each arrives, and its frame (None: the end)."""
    timeout: float = FIRST_TIMEOUT
    wakes_at: float = 0.0
    duplicates: int = 0
    """Segments that arrived behind the first one under way, which was lost."""
    busy: bool = False
    unsent: list[bytes] = field(default_factory=list)
    """Frames that wait until the connection is open."""


@dataclass(eq=False, repr=False, slots=True)
class Process:
    """A node on the network."""

    name: str
    address: str
    node: Node
    seeds: list[str]
    guest: str = ""
    """What it is called as a guest; empty for a member."""
    up: bool = True
    stalled: bool = False
    timers_run: bool = False
    ends: dict[int, End] = field(default_factory=dict)
    waiting: list[Call] = field(default_factory=list)
    """What is done when the process goes on."""
    accepted: int = 0
    wakes_at: float | None = None
    bytes_sent: int = 0
    frames_sent: int = 0
    events: list[tuple[float, Event]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<process {self.name} {self.uid.hex()[:6]} at {self.address}>"

    @property
    def uid(self) -> bytes:
        """Who it is."""
        return self.node.uid
