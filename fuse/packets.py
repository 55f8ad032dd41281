"""Whole messages, with open files, between two processes: SOCK_SEQPACKET with SCM_RIGHTS.

The kernel keeps the borders of the messages and hands over the descriptors together with the
bytes they were sent with, so there is neither framing nor a second channel. A `PacketSocket`
belongs to one event loop; nothing in it is for other threads.
"""

import array
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

_ANCILLARY = socket.CMSG_SPACE(MAX_FILES * array.array("i").itemsize)

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
        self._reading = False
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
                packet = receive_now(self._sock)
            except BlockingIOError:
                await self._readable()
                continue
            except OSError:
                return None
            return packet
        return None

    async def _readable(self) -> None:
        self._waiter = self._loop.create_future()
        if not self._reading:
            self._loop.add_reader(self._sock.fileno(), self._on_readable)
            self._reading = True
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _on_readable(self) -> None:
        # The loop goes on watching from one message to the next: to stop and begin again takes two
        # system calls. It stops only when there is something that nobody waits for.
        if self._waiter is None or self._waiter.done():
            self._unread()
        else:
            self._waiter.set_result(None)

    def _unread(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._sock.fileno())
            self._reading = False

    def close(self) -> None:
        """Close this end; what was not sent yet is dropped. Idempotent."""
        if self.closed:
            return
        self._unwatch()
        self._unread()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        for _, files in self._outgoing:
            _close_all(files)
        self._outgoing.clear()
        self._sock.close()


def receive_now(sock: socket.socket) -> Packet | None:
    """The next message; None when the other end is gone. Waits as the socket does: the keeper,
    which has no event loop, has a blocking one.

    Raises:
        BlockingIOError: there is none, and the socket does not block.
    """
    # Not socket.recv_fds: it drops its flags (Python 3.11), and so close-on-exec.
    try:
        data, ancillary, _, _ = sock.recvmsg(MAX_PACKET, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return None
    files = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            files.frombytes(content[: len(content) - len(content) % files.itemsize])
    return Packet(data, tuple(files)) if data or files else None


def _close_all(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)
