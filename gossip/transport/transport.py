"""The links of one member: both sockets, their monitors, and the frames that must wait.

Facts about libzmq 4.3.5 that shaped this are in docs/gossip.md.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Collection

import zmq

from meshcache.gossip import addresses
from meshcache.gossip.core.events import Why
from meshcache.gossip.errors import AddressUnusable
from meshcache.gossip.keyring import KeyRing
from meshcache.gossip.tasks import Tasks
from meshcache.gossip.transport import sockets
from meshcache.gossip.transport.doorman import Doorman
from meshcache.gossip.transport.inbound import Frames, Inbound
from meshcache.gossip.transport.outbound import Outbound
from meshcache.gossip.transport.sockets import Socket

BACKLOG = 64
"""Frames kept for a link whose queue in libzmq (`sndhwm` 256) is full."""
RETRY = 0.02
REBIND_TIMEOUT = 2.0


class Transport:
    """The links of one member."""

    def __init__(
        self,
        keys: KeyRing,
        *,
        on_frames: Callable[[Frames], None],
        on_closed: Callable[[int, Why], None],
        on_busy: Callable[[int, bool], None],
        on_refused: Callable[[str], None],
        on_guest: Callable[[int, str], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        """Make a transport; nothing is bound until `start`.

        The first of `keys` is in use: its server key is this member's, its client key is shown to
        others. All of them are accepted, and tried where the first is refused.

        `on_frames` gets (link number, frame) pairs, `on_closed` the links that ended by
        themselves, `on_busy` whether a link's queue is full, `on_refused` an address where none of
        the keys was taken, `on_guest` a link over which a guest comes, and its name; all are called
        on the loop.
        """
        self._keys = keys
        self._on_frames = on_frames
        self._on_closed = on_closed
        self._on_busy = on_busy
        self._on_refused = on_refused
        self._on_guest = on_guest
        self._backlog: dict[int, deque[bytes]] = {}
        self._tasks = Tasks(on_error)
        self._readers: list[Socket] = []
        self._drain_due = False
        self._closed = False
        self.dropped = 0
        """Frames that could not be sent: the link is gone, or its queue is full."""

    # --- beginning and end

    async def start(self, host: str, port: int) -> int:
        """Bind; the port that is bound (the given one unless it was 0).

        Raises:
            AddressUnusable: taken, or not of this machine. Nothing is left open.
        """
        self._loop = asyncio.get_running_loop()
        self._context: zmq.Context[Socket] = zmq.Context(io_threads=1)
        self._doorman = Doorman(self._context, self._keys)
        self._outbound = Outbound(
            self._context,
            self._keys,
            self._tasks,
            send=self.send,
            on_ended=self._ended,
            on_refused=self._on_refused,
            drain_soon=self.drain_soon,
        )
        self._inbound = Inbound(self._context, self._keys, self._ended, self._on_guest)
        try:
            self._inbound.bind(host, port)
        except zmq.ZMQError as error:
            await self.close()
            raise AddressUnusable(
                f"cannot listen for gossip at {addresses.join(host, port)}: {error.strerror}"
            ) from error
        self._watch(self._doorman.sock, self._outbound.sock, self._outbound.monitor)
        self._watch(self._inbound.sock, self._inbound.monitor)
        return self._inbound.port

    def _watch(self, *socks: Socket) -> None:
        for sock in socks:
            self._readers.append(sock)
            self._loop.add_reader(sock.fileno(), self.drain)

    def _unwatch(self, *socks: Socket) -> None:
        for sock in socks:
            self._readers.remove(sock)
            self._loop.remove_reader(sock.fileno())

    async def close(self) -> None:
        """Close everything; what was not sent is lost."""
        if self._closed:
            return
        self._closed = True
        self._unwatch(*list(self._readers))
        await self._tasks.close()
        self._outbound.hang_up()
        if not self._inbound.sock.closed:
            self._inbound.hang_up()
        self._context.destroy(linger=0)

    # --- keys

    async def keys_changed(self, *, rebind: bool, removed: Collection[str]) -> None:
        """End the links of removed keys; if another key is in use, listen with it, at the same
        port.

        libzmq cannot change a bound socket's key, so the inbound links end and are dialled again;
        that takes some milliseconds, in which nobody is held for dead (a refusal counts only when
        it is repeated 150 ms later).
        """
        self._outbound.expel(removed)
        for number in self._inbound.expel(removed):
            self._ended(number, Why.CLOSED)
        if not rebind:
            return
        self._unwatch(self._inbound.sock, self._inbound.monitor)
        ended = self._inbound.hang_up(linger=100)
        deadline = self._loop.time() + REBIND_TIMEOUT
        while not self._closed:
            try:
                self._inbound.listen()
                break
            except zmq.ZMQError:  # the old listener is closed by another thread, soon
                if self._loop.time() > deadline:
                    raise
                await asyncio.sleep(0.002)
        else:
            return
        self._watch(self._inbound.sock, self._inbound.monitor)
        for number in ended:
            self._ended(number, Why.CLOSED)
        self.drain_soon()

    # --- links

    def open(self, number: int, address: str) -> None:
        """Connect once."""
        self._outbound.open(number, address)

    def close_link(self, number: int) -> None:
        """Close an outbound link; nothing is reported."""
        self._backlog.pop(number, None)
        self._outbound.close(number)

    def _ended(self, number: int, why: Why) -> None:
        self._backlog.pop(number, None)
        self._on_closed(number, why)

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
        sock: Socket
        if number > 0:
            sock, way = self._outbound.sock, self._outbound.way_to(number, frame)
            if way == b"":
                return True
        else:
            sock, way = self._inbound.sock, self._inbound.way_to(number)
        if way is None or self._closed:
            self.dropped += 1
            return True
        try:
            sock.send_multipart((way, frame), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno == zmq.EAGAIN:
                return False
            if error.errno != errno.EHOSTUNREACH:
                raise
            self.dropped += 1
        return True

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
        """Read what is there: frames, then the monitors, then hand on the frames of new peers.

        In this order a message is known before its descriptor can be used again: what the
        monitors say of a connection's end was written before anything of a later connection
        with the same descriptor could be read.
        """
        if self._closed or self._inbound.sock.closed:  # closed: its key is being changed
            return
        self._doorman.answer()
        frames: Frames = []
        more = self._inbound.read(frames)
        more |= self._outbound.read(frames)
        if frames:
            self._on_frames(frames)
        sockets.read_monitor(self._inbound.monitor, self._inbound.event)
        sockets.read_monitor(self._outbound.monitor, self._outbound.event)
        if introduced := self._inbound.introduce():
            self._on_frames(introduced)
        if more:
            self.drain_soon()

    def stats(self) -> dict[str, int]:
        """What was counted since the start."""
        return {
            "strangers_refused": self._inbound.refused,
            "frames_expelled": self._inbound.expelled,
            "frames_dropped": self.dropped,
            "malformed": self._inbound.malformed + self._outbound.malformed,
        }
