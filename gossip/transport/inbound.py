"""Links that others dialled: the bound ROUTER.

It names its peers itself, so no two can clash. libzmq's monitor tells of a connection's end by its
file descriptor, which each message carries too.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import zmq

from meshcache.gossip import addresses
from meshcache.gossip.core.events import Why
from meshcache.gossip.keyring import GUEST, KeyRing
from meshcache.gossip.transport import sockets
from meshcache.gossip.transport.doorman import DOMAIN
from meshcache.gossip.transport.sockets import HANDSHAKE_FAILED, Socket

BATCH = 256
"""Frames read from one socket before others have their turn."""

Frames = list[tuple[int, bytes]]


@dataclass(slots=True)
class _Peer:
    routing_id: bytes
    key: str
    """The id of the mesh key that it showed, or which guest it is."""


@dataclass
class Inbound:
    """The links of others, by negative numbers."""

    context: "zmq.Context[Socket]"
    keys: KeyRing
    on_closed: Callable[[int, Why], None]
    on_guest: Callable[[int, str], None]
    """Told of a link that is a guest's, and its name, before the first frame."""
    refused: int = 0
    """Handshakes of strangers that were turned away."""
    expelled: int = 0
    """Frames that came with a key that was removed; nobody reads them."""
    malformed: int = 0
    """Messages of more or fewer parts than a link's have."""
    port: int = 0
    _host: str = ""
    _peers: dict[int, _Peer] = field(default_factory=dict)
    _numbers: dict[bytes, int] = field(default_factory=dict)
    _descriptors: dict[int, dict[int, bytes]] = field(default_factory=dict)
    """Descriptor -> its links' numbers and routing ids."""
    _accepted: set[int] = field(default_factory=set)
    _strange: list[tuple[bytes, int, str, bytes]] = field(default_factory=list)
    """Routing id, descriptor, key and frame of peers that were not seen before."""
    _last: int = 0

    def bind(self, host: str, port: int) -> None:
        """Listen, port 0 at any; `port` tells which.

        Raises:
            zmq.ZMQError: taken, or not of this machine. Nothing is left open.
        """
        self._host, self.port = host, port
        self.listen()

    def listen(self) -> None:
        """Listen with the key in use, at the address that was bound before. Raises as `bind`."""
        pair = self.keys.derived[0].server
        self.sock = sockets.router(self.context)
        self.sock.curve_server = True
        self.sock.curve_publickey, self.sock.curve_secretkey = pair.public, pair.secret
        self.sock.zap_domain = DOMAIN
        self.sock.ipv6 = ":" in self._host
        self.monitor = sockets.monitor(self.sock)
        host = self._host
        if host in addresses.WILDCARDS and ":" not in host:
            host = "*"
        try:
            self.sock.bind(f"tcp://{addresses.join(host, self.port)}")
        except zmq.ZMQError:
            self.hang_up()
            raise
        self.port = int(self.sock.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

    def hang_up(self, linger: int = 0) -> list[int]:
        """Close, after at most `linger` ms for what was sent; the links that this ended."""
        self.sock.disable_monitor()
        self.monitor.close(linger=0)
        self.sock.close(linger=linger)
        ended = list(self._peers)
        for memory in (self._peers, self._numbers, self._descriptors, self._accepted):
            memory.clear()
        return ended

    def way_to(self, number: int) -> bytes | None:
        """The routing id of a link that is open."""
        peer = self._peers.get(number)
        return peer.routing_id if peer is not None else None

    def expel(self, removed: Collection[str]) -> list[int]:
        """Listen no longer to those who showed a removed key; their links.

        libzmq cannot close one accepted connection: what else comes over it is dropped.
        """
        expelled = [
            number
            for number, peer in self._peers.items()
            if peer.key in removed or not self.keys.accepts(peer.key)
        ]
        for number in expelled:
            del self._peers[number]
        return expelled

    def read(self, frames: Frames) -> bool:
        """Read up to a batch of frames; whether there is more. Those of peers that were not seen
        before are kept for `introduce`."""
        for _ in range(BATCH):
            if not sockets.readable(self.sock):
                return False
            parts: list[Any] = self.sock.recv_multipart(zmq.NOBLOCK, copy=False)
            if len(parts) != 2:
                self.malformed += 1
                continue
            routing_id, frame = parts[0].bytes, parts[1]
            number = self._numbers.get(routing_id)
            if number is None:
                user = frame.get("User-Id")
                self._strange.append((routing_id, frame.get(zmq.SRCFD), user, frame.bytes))
            else:
                self._keep(number, frame.bytes, frames)
        return True

    def introduce(self) -> Frames:
        """The frames of new peers, whose connections the monitor has told of meanwhile."""
        frames: Frames = []
        for routing_id, descriptor, key, frame in self._strange:
            number = self._numbers.get(routing_id)
            if number is None:
                if descriptor not in self._accepted:
                    continue  # it hung up already
                self._last -= 1
                number = self._numbers[routing_id] = self._last
                self._descriptors.setdefault(descriptor, {})[number] = routing_id
                if self.keys.accepts(key):
                    self._peers[number] = _Peer(routing_id, key)
                    if key.startswith(GUEST):
                        self.on_guest(number, key.removeprefix(GUEST))
            self._keep(number, frame, frames)
        self._strange.clear()
        return frames

    def _keep(self, number: int, frame: bytes, frames: Frames) -> None:
        if number in self._peers:
            frames.append((number, frame))
        else:
            self.expelled += 1

    def event(self, event: int, value: int, endpoint: str) -> None:
        """What the monitor says."""
        if event == zmq.EVENT_ACCEPTED:
            self._accepted.add(value)
        elif event == zmq.EVENT_DISCONNECTED:
            self._accepted.discard(value)
            for number, routing_id in self._descriptors.pop(value, {}).items():
                del self._numbers[routing_id]
                if self._peers.pop(number, None) is not None:
                    self.on_closed(number, Why.CLOSED)
        elif event & HANDSHAKE_FAILED:
            self.refused += 1
