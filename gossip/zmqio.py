"""The transport: links over ZeroMQ, encrypted and authenticated by CURVE.

Two ROUTER sockets. The inbound one is bound, and names its peers itself (so no two can clash). The
outbound one is never bound; each connect gets a routing id of its own and is tried once: no
reconnection inside libzmq, for the core must know when a link ends. libzmq's monitors tell when a
connection ends: for an outbound one by its endpoint, for an inbound one by its file descriptor,
which each message carries too.

Who may connect is decided in this process, on the loop: a ZAP handler lets in the client keys that
follow from the mesh keys. Without the server's public key, which follows from them as well, a
stranger cannot even begin a handshake.

Facts about libzmq 4.3.5 that shaped this are in docs/gossip.md.
"""

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from meshcache.gossip import addresses
from meshcache.gossip.core.events import Why
from meshcache.gossip.errors import AddressUnusable, InvalidSettings
from meshcache.gossip.keys import CurveKeys
from meshcache.gossip.tasks import Tasks
from meshcache.gossip.wire import MAX_FRAME

DOMAIN = b"meshcache gossip"
BACKLOG = 64
"""Frames kept for a link whose queue in libzmq (`sndhwm` 256) is full."""
RETRY = 0.02
REBIND_TIMEOUT = 2.0
BATCH = 256
"""Frames read from one socket before others have their turn."""
CONNECT_TIMEOUT = 1.0
KNOCK_TIMEOUT = 0.5
_MONITORED = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_CONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


@dataclass(slots=True, eq=False)
class _Outbound:
    number: int
    endpoint: str
    host: str
    port: int
    descriptor: int | None = None
    """The connection's, once it is up."""
    knocking: bool = False
    connecting: bool = False
    attempt: int = 0
    """How many keys were refused at this address."""
    key: str = ""
    heard: bool = False
    sent: list[bytes] = field(default_factory=list)
    """The first frames, to be sent again with the next key; no longer needed once one came."""
    waiting: list[bytes] = field(default_factory=list)
    """Frames that were sent while the name was looked up."""

    @property
    def routing_id(self) -> bytes:
        return b"\x01" + self.attempt.to_bytes(1, "big") + self.number.to_bytes(8, "big")


class Transport:
    """The links of one member."""

    def __init__(
        self,
        keys: Sequence[CurveKeys],
        *,
        on_frames: Callable[[list[tuple[int, bytes]]], None],
        on_closed: Callable[[int, Why], None],
        on_busy: Callable[[int, bool], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        """Make a transport; nothing is bound until `start`.

        The first of `keys` is in use: its server key is this member's, its client key is shown to
        others. All of them are accepted, and tried where the first is refused.

        `on_frames` gets (link number, frame) pairs, `on_closed` the links that ended by
        themselves, `on_busy` whether a link's queue is full; all are called on the loop.
        """
        self._keys = list(keys)
        self._on_frames = on_frames
        self._on_closed = on_closed
        self._on_busy = on_busy
        self._backlog: dict[int, deque[bytes]] = {}
        self._tasks = Tasks(on_error)
        self._context = zmq.Context(io_threads=1)
        self._readers: list[zmq.Socket[bytes]] = []
        self._outbound: dict[int, _Outbound] = {}
        self._endpoints: dict[str, _Outbound] = {}
        self._inbound: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._descriptors: dict[int, set[int]] = {}
        self._accepted: set[int] = set()
        self._last = 0
        self._drain_due = False
        self._closed = False
        self.refused = 0
        """Handshakes of strangers that were turned away."""
        self.dropped = 0
        """Frames that could not be sent: the link is gone, or its queue is full."""

    # --- beginning and end

    async def start(self, host: str, port: int) -> int:
        """Bind; the port that is bound (the given one unless it was 0).

        Raises:
            AddressUnusable: taken, or not of this machine. Nothing is left open.
        """
        self._loop = asyncio.get_running_loop()
        # ZAP must be there before the first peer is.
        self._zap = self._socket(zmq.ROUTER)
        self._zap.bind("inproc://zeromq.zap.01")
        self._client = self._router()
        self._client_monitor = self._monitor(self._client)
        self._host = "*" if host in addresses.WILDCARDS and ":" not in host else host
        self._port = port
        try:
            self._listen()
        except zmq.ZMQError as error:
            await self.close()
            raise AddressUnusable(
                f"cannot listen for gossip at {addresses.join(host, port)}: {error.strerror}"
            ) from error
        for sock in (self._zap, self._client, self._client_monitor):
            self._watch(sock)
        return self._port

    def _listen(self) -> None:
        keys = self._keys[0]
        self._server = self._router()
        self._server.curve_server = True
        self._server.curve_publickey = keys.server.public
        self._server.curve_secretkey = keys.server.secret
        self._server.zap_domain = DOMAIN
        self._server.ipv6 = ":" in self._host
        self._server_monitor = self._monitor(self._server)
        try:
            self._server.bind(f"tcp://{addresses.join(self._host, self._port)}")
        except zmq.ZMQError:
            self._hang_up_server()
            raise
        bound = self._server.getsockopt_string(zmq.LAST_ENDPOINT)
        self._port = int(bound.rpartition(":")[2])
        self._watch(self._server)
        self._watch(self._server_monitor)

    def _hang_up_server(self, linger: int = 0) -> None:
        self._server.disable_monitor()
        self._server_monitor.close(linger=0)
        self._server.close(linger=linger)

    # --- keys

    async def set_keys(self, keys: Sequence[CurveKeys]) -> None:
        """Take these keys; if the first is a new one, listen with it at the same port.

        libzmq cannot change a bound socket's key, so the inbound links end and are dialled again;
        that takes some milliseconds, in which nobody is held for dead (a refusal counts only when
        it is repeated 150 ms later). Links of peers that showed a removed key end too.
        """
        rebind = keys[0] != self._keys[0]
        removed = {key.id for key in self._keys} - {key.id for key in keys}
        self._keys = list(keys)
        if removed:
            for link in [one for one in self._outbound.values() if one.key in removed]:
                self._end(link, Why.CLOSED)
        if not rebind:
            return
        for sock in (self._server, self._server_monitor):
            self._loop.remove_reader(sock.fileno())
            self._readers.remove(sock)
        self._hang_up_server(linger=100)
        numbers = list(self._inbound)
        self._inbound.clear()
        self._numbers.clear()
        self._descriptors.clear()
        self._accepted.clear()
        deadline = self._loop.time() + REBIND_TIMEOUT
        while True:
            try:
                self._listen()
                break
            except zmq.ZMQError:  # the old listener is closed by another thread, soon
                if self._loop.time() > deadline:
                    raise
                await asyncio.sleep(0.002)
        for number in numbers:
            self._on_closed(number, Why.CLOSED)
        self.drain_soon()

    def _socket(self, kind: int) -> "zmq.Socket[bytes]":
        sock: zmq.Socket[bytes] = self._context.socket(kind)
        sock.linger = 0
        return sock

    def _router(self) -> "zmq.Socket[bytes]":
        sock = self._socket(zmq.ROUTER)
        sock.router_mandatory = 1
        sock.sndhwm, sock.rcvhwm = 256, 10_000
        sock.maxmsgsize = MAX_FRAME
        sock.handshake_ivl = 3000
        sock.connect_timeout = int(CONNECT_TIMEOUT * 1000)
        sock.reconnect_ivl = -1
        sock.heartbeat_ivl = 0  # the core has its own, which a stuck process cannot answer
        sock.tcp_keepalive = 1
        sock.backlog = 1024
        return sock

    def _monitor(self, sock: "zmq.Socket[bytes]") -> "zmq.Socket[bytes]":
        monitor: zmq.Socket[bytes] | None = sock.get_monitor_socket(_MONITORED)
        assert monitor is not None
        monitor.linger = 0
        monitor.rcvhwm = 0
        return monitor

    def _watch(self, sock: "zmq.Socket[bytes]") -> None:
        self._readers.append(sock)
        self._loop.add_reader(sock.fileno(), self.drain)

    async def close(self) -> None:
        """Close everything; what was not sent is lost."""
        if self._closed:
            return
        self._closed = True
        for sock in self._readers:
            self._loop.remove_reader(sock.fileno())
        self._readers.clear()
        await self._tasks.close()
        self._client.disable_monitor()
        self._client_monitor.close(linger=0)
        if not self._server.closed:
            self._hang_up_server()
        self._context.destroy(linger=0)

    # --- links

    def open(self, number: int, address: str) -> None:
        """Connect once."""
        try:
            host, port = addresses.split(address)
        except InvalidSettings:  # another member's nonsense
            self._loop.call_soon(self._on_closed, number, Why.UNREACHABLE)
            return
        link = self._outbound[number] = _Outbound(number, "", host, port)
        try:
            ip_address(host)
        except ValueError:
            self._tasks.start(self._look_up(link), f"gossip look up {address}")
        else:
            self._connect(link)

    async def _look_up(self, link: _Outbound) -> None:
        try:
            found = await self._loop.getaddrinfo(link.host, link.port, type=socket.SOCK_STREAM)
        except OSError:
            self._end(link, Why.UNREACHABLE)
            return
        if self._outbound.get(link.number) is link:
            link.host = str(found[0][4][0])
            self._connect(link)
            self.drain_soon()

    def _connect(self, link: _Outbound) -> None:
        link.endpoint = f"tcp://{addresses.join(link.host, link.port)}"
        earlier = self._endpoints.get(link.endpoint)
        if earlier is not None:
            self._forget(earlier)
        self._endpoints[link.endpoint] = link
        try:
            self._client.ipv6 = ":" in link.host
            keys = self._keys[link.attempt % len(self._keys)]
            link.key = keys.id
            # The options are copied into each connection as it is made.
            self._client.curve_publickey = keys.client.public
            self._client.curve_secretkey = keys.client.secret
            self._client.curve_serverkey = keys.server.public
            self._client.setsockopt(zmq.CONNECT_ROUTING_ID, link.routing_id)
            self._client.connect(link.endpoint)
        except zmq.ZMQError:
            self._loop.call_soon(self._end, link, Why.UNREACHABLE)
            return
        link.connecting = True
        waiting, link.waiting = link.waiting, []
        for frame in waiting:
            self.send(link.number, frame)

    def send(self, number: int, frame: bytes) -> None:
        """Send. What a full queue does not take is kept, up to a limit, and the link is reported
        busy; a frame for a link that is gone is dropped and counted."""
        backlog = self._backlog.get(number)
        if backlog is not None:
            if len(backlog) < BACKLOG:
                backlog.append(frame)
            else:
                self.dropped += 1
        elif not self._try_send(number, frame):
            self._backlog[number] = deque((frame,))
            self._on_busy(number, True)
            self._loop.call_later(RETRY, self._retry, number)

    def _retry(self, number: int) -> None:
        backlog = self._backlog.get(number)
        while backlog:
            if not self._try_send(number, backlog[0]):
                self._loop.call_later(RETRY, self._retry, number)
                return
            backlog.popleft()
        if self._backlog.pop(number, None) is not None and not self._closed:
            self._on_busy(number, False)
            self.drain_soon()

    def _try_send(self, number: int, frame: bytes) -> bool:
        """False if the link's queue is full."""
        if number > 0:
            link = self._outbound.get(number)
            if link is not None and not link.heard and len(self._keys) > 1:
                link.sent.append(frame)
            if link is not None and not link.connecting:
                link.waiting.append(frame)
                return True
            sock, routing_id = self._client, link.routing_id if link is not None else None
        else:
            sock, routing_id = self._server, self._inbound.get(number)
        if routing_id is None or self._closed:
            self.dropped += 1
            return True
        try:
            sock.send_multipart((routing_id, frame), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno == zmq.EAGAIN:
                return False
            if error.errno != errno.EHOSTUNREACH:
                raise
            self.dropped += 1
        return True

    def close_link(self, number: int) -> None:
        """Close an outbound link; nothing is reported."""
        link = self._outbound.get(number)
        if link is not None:
            self._forget(link)

    def _forget(self, link: _Outbound) -> None:
        self._outbound.pop(link.number, None)
        self._backlog.pop(link.number, None)
        if self._endpoints.get(link.endpoint) is link:
            self._disconnect(link)

    def _disconnect(self, link: _Outbound) -> None:
        del self._endpoints[link.endpoint]
        try:
            self._client.disconnect(link.endpoint)
        except zmq.ZMQError as error:
            if error.errno != errno.ENOENT:  # a connection that failed is gone by itself
                raise

    def _end(self, link: _Outbound, why: Why) -> None:
        if self._outbound.get(link.number) is link:
            self._forget(link)
            self._on_closed(link.number, why)

    # --- reading

    def drain_soon(self) -> None:
        """Look at the sockets in the loop's next round: their descriptors tell of changes only,
        and a send may have swallowed one."""
        if not self._drain_due and not self._closed:
            self._drain_due = True
            self._loop.call_soon(self._drain_later)

    def _drain_later(self) -> None:
        self._drain_due = False
        self.drain()

    def drain(self) -> None:
        """Read what is there: frames, then the monitors, then hand on the frames.

        In this order a message is known before its descriptor can be used again: what the
        monitors say of a connection's end was written before anything of a later connection
        with the same descriptor could be read.
        """
        if self._closed:
            return
        if self._server.closed:  # its key is being changed
            return
        self._answer_zap()
        frames: list[tuple[int, bytes]] = []
        strange: list[tuple[bytes, int, bytes]] = []
        more = self._read(self._server, frames, strange)
        more |= self._read(self._client, frames, None)
        if frames:
            self._on_frames(frames)
        self._read_monitor(self._server_monitor, self._server_event)
        self._read_monitor(self._client_monitor, self._client_event)
        if strange:
            self._on_frames([one for one in map(self._introduce, strange) if one is not None])
        if more:
            self.drain_soon()

    def _read(
        self,
        sock: "zmq.Socket[bytes]",
        frames: list[tuple[int, bytes]],
        strange: list[tuple[bytes, int, bytes]] | None,
    ) -> bool:
        """Read up to a batch; whether there is more. `strange` are (routing id, descriptor,
        frame) of peers that were not seen before."""
        for _ in range(BATCH):
            try:
                parts: list[Any] = sock.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return False
            if len(parts) != 2:
                continue
            routing_id, frame = parts[0].bytes, parts[1].bytes
            if strange is None:
                number = int.from_bytes(routing_id[2:], "big")
                link = self._outbound.get(number)
                if link is not None:
                    link.heard = True
                    link.sent.clear()
                    frames.append((number, frame))
            elif routing_id in self._numbers:
                frames.append((self._numbers[routing_id], frame))
            else:
                strange.append((routing_id, parts[1].get(zmq.SRCFD), frame))
        return True

    def _introduce(self, strange: tuple[bytes, int, bytes]) -> tuple[int, bytes] | None:
        routing_id, descriptor, frame = strange
        number = self._numbers.get(routing_id)
        if number is None:
            if descriptor not in self._accepted:
                return None  # it hung up already
            self._last -= 1
            number = self._numbers[routing_id] = self._last
            self._inbound[number] = routing_id
            self._descriptors.setdefault(descriptor, set()).add(number)
        return number, frame

    def _read_monitor(
        self, monitor: "zmq.Socket[bytes]", handle: Callable[[int, int, str], None]
    ) -> None:
        while True:
            try:
                parts = monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            event = parse_monitor_message(parts)
            handle(event["event"], event["value"], event["endpoint"].decode())

    def _server_event(self, event: int, value: int, endpoint: str) -> None:
        if event == zmq.EVENT_ACCEPTED:
            self._accepted.add(value)
        elif event == zmq.EVENT_DISCONNECTED:
            self._accepted.discard(value)
            for number in self._descriptors.pop(value, ()):
                del self._numbers[self._inbound.pop(number)]
                self._backlog.pop(number, None)
                self._on_closed(number, Why.CLOSED)
        elif event & _FAILED:
            self.refused += 1

    def _client_event(self, event: int, value: int, endpoint: str) -> None:
        link = self._endpoints.get(endpoint)
        if link is None:
            return
        if event == zmq.EVENT_CONNECTED:
            link.descriptor = value
        elif event == zmq.EVENT_DISCONNECTED:
            if value == link.descriptor:
                self._end(link, Why.CLOSED)
        elif event & _FAILED:
            self._refused(link)
        elif event == zmq.EVENT_CLOSED and link.descriptor is None and not link.knocking:
            link.knocking = True
            self._tasks.start(self._knock(link), f"gossip knock {endpoint}")

    def _refused(self, link: _Outbound) -> None:
        """The other side does not take this key: try the next, or give up."""
        if link.attempt + 1 >= len(self._keys):
            self._end(link, Why.UNREACHABLE)
            return
        self._disconnect(link)
        link.attempt += 1
        link.descriptor, link.connecting = None, False
        link.waiting, link.sent = link.sent, []
        self._connect(link)
        self.drain_soon()

    async def _knock(self, link: _Outbound) -> None:
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

    # --- who may connect

    def _answer_zap(self) -> None:
        # RFC 27 (ZAP): version, request id, domain, address, identity, mechanism, credentials.
        while True:
            try:
                parts = self._zap.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            start = parts.index(b"") + 1
            route, request = parts[:start], parts[start:]
            good = (
                len(request) == 7
                and request[0] == b"1.0"
                and request[5] == b"CURVE"
                and any(request[6] == keys.client.raw_public for keys in self._keys)
            )
            status = (b"200", b"OK") if good else (b"400", b"not of this mesh")
            self._zap.send_multipart([*route, b"1.0", request[1], *status, b"member", b""])
