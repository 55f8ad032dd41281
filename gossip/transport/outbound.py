"""Links that this member dialled: a ROUTER that is never bound.

Each connect gets a routing id of its own and is tried once: no reconnection inside libzmq, for the
core must know when a link ends. Where the key in use is refused the other installed ones are
tried, so that members in the middle of a rotation understand each other.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import zmq

from meshcache.gossip import addresses
from meshcache.gossip.core.events import Why
from meshcache.gossip.errors import InvalidSettings
from meshcache.gossip.keyring import KeyRing
from meshcache.gossip.tasks import Tasks
from meshcache.gossip.transport import sockets
from meshcache.gossip.transport.inbound import BATCH, Frames
from meshcache.gossip.transport.sockets import HANDSHAKE_FAILED, Socket

KNOCK_TIMEOUT = 0.5


@dataclass(slots=True, eq=False)
class _Link:
    number: int
    host: str
    port: int
    keys: tuple[str, ...]
    """The ids of the keys that were installed when it was opened, in the order of trying."""
    endpoint: str = ""
    descriptor: int | None = None
    """The connection's, once it is up."""
    knocking: bool = False
    connecting: bool = False
    attempt: int = 0
    """How many keys were refused at this address."""
    heard: bool = False
    sent: list[bytes] = field(default_factory=list)
    """The first frames, to be sent again with the next key; no longer needed once one came."""
    waiting: list[bytes] = field(default_factory=list)
    """Frames that were sent before it was connected to: while its name was looked up."""

    @property
    def key(self) -> str:
        return self.keys[self.attempt]

    @property
    def routing_id(self) -> bytes:
        return b"\x01" + self.attempt.to_bytes(1, "big") + self.number.to_bytes(8, "big")


@dataclass
class Outbound:
    """The links of this member's dialling, by positive numbers."""

    context: "zmq.Context[Socket]"
    keys: KeyRing
    tasks: Tasks
    send: Callable[[int, bytes], None]
    """Sends a frame that had to wait."""
    on_ended: Callable[[int, Why], None]
    on_refused: Callable[[str], None]
    """Told of an address where no key of this member was taken."""
    drain_soon: Callable[[], None]
    malformed: int = 0
    """Messages of more or fewer parts than a link's have."""
    _links: dict[int, _Link] = field(default_factory=dict)
    _endpoints: dict[str, _Link] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.sock = sockets.router(self.context)
        self.monitor = sockets.monitor(self.sock)

    def hang_up(self) -> None:
        """Close all."""
        self.sock.disable_monitor()
        self.monitor.close(linger=0)
        self.sock.close(linger=0)

    # --- opening

    def open(self, number: int, address: str) -> None:
        """Connect once."""
        try:
            host, port = addresses.split(address)
        except InvalidSettings:  # another member's nonsense
            self._loop.call_soon(self.on_ended, number, Why.UNREACHABLE)
            return
        link = self._links[number] = _Link(number, host, port, tuple(self.keys.ids))
        try:
            ip_address(host)
        except ValueError:
            self.tasks.start(self._look_up(link), f"gossip look up {address}")
        else:
            self._connect(link)

    async def _look_up(self, link: _Link) -> None:
        try:
            found = await self._loop.getaddrinfo(link.host, link.port, type=socket.SOCK_STREAM)
        except OSError:
            self._end(link, Why.UNREACHABLE)
            return
        if self._links.get(link.number) is link:
            link.host = str(found[0][4][0])
            self._connect(link)
            self.drain_soon()

    def _connect(self, link: _Link) -> None:
        link.endpoint = f"tcp://{addresses.join(link.host, link.port)}"
        earlier = self._endpoints.get(link.endpoint)
        if earlier is not None:
            self._forget(earlier)
        self._endpoints[link.endpoint] = link
        try:
            keys = self.keys.find(link.key)
            self.sock.ipv6 = ":" in link.host
            # The options are copied into each connection as it is made.
            self.sock.curve_publickey = keys.client.public
            self.sock.curve_secretkey = keys.client.secret
            self.sock.curve_serverkey = keys.theirs
            self.sock.setsockopt(zmq.CONNECT_ROUTING_ID, link.routing_id)
            self.sock.connect(link.endpoint)
        except (zmq.ZMQError, InvalidSettings):  # an address, or a key that is gone meanwhile
            self._loop.call_soon(self._end, link, Why.UNREACHABLE)
            return
        link.connecting = True
        waiting, link.waiting = link.waiting, []
        for frame in waiting:
            self.send(link.number, frame)

    def way_to(self, number: int, frame: bytes) -> bytes | None:
        """The routing id to send this frame to; None if the link is gone, empty if the frame is
        kept until the link is connected."""
        link = self._links.get(number)
        if link is None:
            return None
        if not link.heard and len(link.keys) > 1:
            link.sent.append(frame)
        if not link.connecting:
            link.waiting.append(frame)
            return b""
        return link.routing_id

    # --- closing

    def close(self, number: int) -> None:
        """Close a link; nothing is reported."""
        link = self._links.get(number)
        if link is not None:
            self._forget(link)

    def expel(self, removed: Collection[str]) -> None:
        """End the links that were made with a removed key."""
        for link in [one for one in self._links.values() if one.key in removed]:
            self._end(link, Why.CLOSED)

    def _forget(self, link: _Link) -> None:
        self._links.pop(link.number, None)
        if self._endpoints.get(link.endpoint) is link:
            self._disconnect(link)

    def _disconnect(self, link: _Link) -> None:
        del self._endpoints[link.endpoint]
        try:
            self.sock.disconnect(link.endpoint)
        except zmq.ZMQError as error:
            if error.errno != errno.ENOENT:  # a connection that failed is gone by itself
                raise

    def _end(self, link: _Link, why: Why) -> None:
        if self._links.get(link.number) is link:
            self._forget(link)
            self.on_ended(link.number, why)

    # --- reading

    def read(self, frames: Frames) -> bool:
        """Read up to a batch of frames; whether there is more."""
        for _ in range(BATCH):
            if not sockets.readable(self.sock):
                return False
            parts: list[Any] = self.sock.recv_multipart(zmq.NOBLOCK)
            if len(parts) != 2:
                self.malformed += 1
                continue
            number = int.from_bytes(parts[0][2:], "big")
            link = self._links.get(number)
            if link is not None:
                link.heard = True
                link.sent.clear()
                frames.append((number, parts[1]))
        return True

    def event(self, event: int, value: int, endpoint: str) -> None:
        """What the monitor says."""
        link = self._endpoints.get(endpoint)
        if link is None:
            return
        if event == zmq.EVENT_CONNECTED:
            link.descriptor = value
        elif event == zmq.EVENT_DISCONNECTED:
            if value == link.descriptor:
                self._end(link, Why.CLOSED)
        elif event & HANDSHAKE_FAILED:
            self._key_refused(link)
        elif event == zmq.EVENT_CLOSED and link.descriptor is None and not link.knocking:
            link.knocking = True
            self.tasks.start(self._knock(link), f"gossip knock {endpoint}")

    def _key_refused(self, link: _Link) -> None:
        """The other side does not take this key: try the next, or give up."""
        if link.attempt + 1 >= len(link.keys):
            self.on_refused(addresses.join(link.host, link.port))
            self._end(link, Why.UNREACHABLE)
            return
        self._disconnect(link)
        link.attempt += 1
        link.descriptor, link.connecting = None, False
        link.waiting, link.sent = link.sent, []
        self._connect(link)
        self.drain_soon()

    async def _knock(self, link: _Link) -> None:
        """Find out why a connect failed: libzmq does not tell a refusal from silence."""
        why = Why.UNREACHABLE
        try:
            async with asyncio.timeout(KNOCK_TIMEOUT):
                _, writer = await asyncio.open_connection(link.host, link.port)
            writer.transport.abort()
        except ConnectionRefusedError:
            why = Why.REFUSED
        except (OSError, TimeoutError):
            pass
        if link.descriptor is None:  # else the event was of an earlier connection
            self._end(link, why)
        link.knocking = False
