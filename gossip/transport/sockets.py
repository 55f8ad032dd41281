"""libzmq sockets with the options that the links need, each with its reason."""

from collections.abc import Callable

import zmq
from zmq.utils.monitor import parse_monitor_message

from meshcache.gossip.wire import MAX_FRAME

CONNECT_TIMEOUT = 1.0
HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_MONITORED = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_CONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | HANDSHAKE_FAILED
)

_EVENTS, _POLLIN = int(zmq.EVENTS), int(zmq.POLLIN)

Socket = zmq.Socket[bytes]


def plain(context: "zmq.Context[Socket]", kind: int) -> Socket:
    """A socket that forgets what it could not send when it is closed."""
    sock = context.socket(kind)
    sock.linger = 0
    return sock


def router(context: "zmq.Context[Socket]") -> Socket:
    """A ROUTER for links."""
    sock = plain(context, zmq.ROUTER)
    sock.router_mandatory = 1
    sock.sndhwm, sock.rcvhwm = 256, 10_000
    sock.maxmsgsize = MAX_FRAME  # who sends a longer one is hung up on, by libzmq
    sock.handshake_ivl = 3000
    sock.connect_timeout = int(CONNECT_TIMEOUT * 1000)
    sock.reconnect_ivl = -1
    sock.heartbeat_ivl = 0  # the core has its own, which a stuck process cannot answer
    sock.tcp_keepalive = 1
    sock.backlog = 1024
    return sock


def monitor(sock: Socket) -> Socket:
    """The socket that tells of connections that begin and end."""
    made: Socket | None = sock.get_monitor_socket(_MONITORED)
    assert made is not None
    made.linger = 0
    made.rcvhwm = 0
    return made


def readable(sock: Socket) -> bool:
    """Whether a message waits. To ask takes a fifth of the time of a read that finds none: five
    sockets are looked at whenever one has something."""
    return bool(sock.getsockopt(_EVENTS) & _POLLIN)  # type: ignore[operator]


def read_monitor(sock: Socket, handle: Callable[[int, int, str], None]) -> None:
    """Hand on what a monitor has: (event, its value, endpoint)."""
    while readable(sock):
        event = parse_monitor_message(sock.recv_multipart(zmq.NOBLOCK))
        handle(event["event"], event["value"], event["endpoint"].decode())
