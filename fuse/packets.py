"""Whole messages, with open files, between two processes: SOCK_SEQPACKET with SCM_RIGHTS.

The kernel keeps the borders of the messages and hands over the descriptors together with the
bytes they were sent with, so there is neither framing nor a second channel. A `PacketSocket`
belongs to one event loop; nothing in it is for other threads.
"""

import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

MAX_PACKET = 64 << 10
"""Bytes of the longest message. Ours are well below 1 KiB; an error's text is cut to fit."""

MAX_FILES = 4
"""Descriptors that one message may bring. Ours bring one at most."""

_RETRY = 0.01
"""Seconds until a send is tried again that the kernel refused with ETOOMANYREFS: so many files
are on their way, not yet received, that the sender's limit of descriptors is reached."""


class Packet(NamedTuple):
    """One message as it came in."""

    data: bytes
    files: tuple[int, ...]
    """Descriptors, close-on-exec, that the receiver must close."""


class PacketSocket:
    """One end of a connected SOCK_SEQPACKET socket, which it takes over and closes."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._outgoing: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._writing = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def closed(self) -> bool:
        return self._sock.fileno() < 0

    def send(self, data: bytes, files: Sequence[int] = ()) -> None:
        """Send a message, later if the socket is full; never waits.

        The descriptors are duplicated: the caller keeps his. A message to an end that is gone is
        dropped: the receiving side of this socket sees that end, and decides.
        """
        if self.closed:
            return
        if not self._outgoing and self._try(data, files):
            return
        self._outgoing.append((data, tuple(os.dup(file) for file in files)))
        self._watch()

    def _watch(self) -> None:
        if not self._writing:
            self._loop.add_writer(self._sock.fileno(), self._flush)
            self._writing = True

    def _unwatch(self) -> None:
        if self._writing:
            self._loop.remove_writer(self._sock.fileno())
            self._writing = False

    def _flush(self) -> None:
        while self._outgoing:
            data, files = self._outgoing[0]
            if not self._try(data, files):
                return
            self._outgoing.popleft()
            _close_all(files)
        self._unwatch()

    def _try(self, data: bytes, files: Sequence[int]) -> bool:
        """Send now; False if it has to wait."""
        try:
            if files:
                socket.send_fds(self._sock, [data], list(files))
            else:
                self._sock.send(data)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                return True
            self._unwatch()  # the socket is writable, but that does not help
            self._loop.call_later(_RETRY, self._again)
            return False
        return True

    def _again(self) -> None:
        if not self.closed and self._outgoing:
            self._watch()

    async def receive(self) -> Packet | None:
        """The next message; None when the other end is gone or this one was closed.

        Only one task may receive at a time.
        """
        while not self.closed:
            try:
                data, files, _, _ = socket.recv_fds(
                    self._sock, MAX_PACKET, MAX_FILES, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                await self._readable()
                continue
            except OSError:
                return None
            if data or files:
                return Packet(data, tuple(files))
            return None
        return None

    async def _readable(self) -> None:
        self._waiter = self._loop.create_future()
        number = self._sock.fileno()
        self._loop.add_reader(number, _wake, self._waiter)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if not self.closed:
                self._loop.remove_reader(number)

    def close(self) -> None:
        """Close this end; what was not sent yet is dropped. Idempotent."""
        if self.closed:
            return
        self._unwatch()
        if self._waiter is not None:
            self._loop.remove_reader(self._sock.fileno())
            _wake(self._waiter)
        for _, files in self._outgoing:
            _close_all(files)
        self._outgoing.clear()
        self._sock.close()


def receive_now(sock: socket.socket) -> Packet | None:
    """The next message on a blocking socket; None when the other end is gone. For the keeper,
    which has no event loop."""
    try:
        data, files, _, _ = socket.recv_fds(sock, MAX_PACKET, MAX_FILES, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return None
    return Packet(data, tuple(files)) if data else None


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _close_all(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)
