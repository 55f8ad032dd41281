"""One answer as it comes in: its head, then its body to where that is wanted. No I/O.

``buffer`` says where the next bytes of the connection are to be received, ``received`` takes them.
A body that has a length, or ends with the connection, is received where `Body` wants it; a
chunked one goes through a buffer. After an exception the answer, and the connection with it, is
over.
"""

from collections.abc import Callable
from typing import Protocol

from meshcache.http.chunked import Chunks
from meshcache.http.errors import BadAnswer, BrokenOff
from meshcache.http.head import END, MAX_HEAD, Head, parse_head

_FIRST = 4 << 10
"""Bytes that a head is received in, and grows by. What this takes of the body is copied, so it is
as small as nearly all heads."""

_CODED = 64 << 10


class Body(Protocol):
    """Takes a body."""

    def buffer(self) -> memoryview:
        """Where its next bytes go: at least one. May raise if no more can be taken."""
        ...

    def took(self, count: int) -> bool:
        """So many bytes are there now. False: the rest is not wanted. May raise."""
        ...


BodyOf = Callable[[Head], Body]
"""Looks at an answer's head and says where the body goes; what it raises ends the request."""


class Answer:
    """Receives the answer to one request."""

    def __init__(self, method: str, body_of: BodyOf) -> None:
        self.head: Head | None = None
        self.keep = False
        """Once it is whole: whether the connection can take another request."""
        self.begun = False
        """Whether anything has come of it."""
        self._method = method
        self._body_of = body_of
        self._body: Body | None = None
        self._raw = bytearray(_FIRST)
        self._filled = 0
        self._interim = 0
        self._left: int | None = None
        """Bytes of the body to come; None: until the connection ends, or the chunks do."""
        self._chunks: Chunks | None = None

    def buffer(self) -> memoryview:
        """Where to receive. Never empty. May raise what `Body.buffer` raises."""
        if self._body is None:
            return memoryview(self._raw)[self._filled :]
        if self._chunks is not None:
            return memoryview(self._raw)
        room, left = self._body.buffer(), self._left
        return room if left is None or len(room) <= left else room[:left]

    def received(self, count: int) -> bool:
        """Take `count` bytes that are in the buffer. True: the answer is whole.

        Raises:
            BadAnswer: it is none.
            Exception: what the body or `body_of` raises.
        """
        self.begun = True
        if self._body is None:
            return self._in_head(count)
        if self._chunks is not None:
            return self._coded(memoryview(self._raw)[:count])
        return self._took(self._body, count)

    def ended(self) -> None:
        """The connection has ended. Passes if the answer is whole by that.

        Raises:
            BrokenOff: it is not.
        """
        if self._body is None or self._left is not None or self._chunks is not None:
            raise BrokenOff("the connection ended before the answer did")

    # --- the head --------------------------------------------------------------------------------

    def _in_head(self, count: int) -> bool:
        searched = max(0, self._filled - len(END) + 1)
        self._filled += count
        while (at := self._raw.find(END, searched, self._filled)) >= 0:
            head = parse_head(self._raw[: at + len(END)])
            rest = self._raw[at + len(END) : self._filled]
            if head.status >= 200:
                return self._begin_body(head, rest)
            if head.status == 101:
                raise BadAnswer("the server changes to another protocol")
            self._interim += at + len(END)
            self._raw[: len(rest)] = rest
            self._filled, searched = len(rest), 0
        if self._interim + self._filled >= MAX_HEAD:
            raise BadAnswer("the head of the answer is too long")
        if self._filled == len(self._raw):
            self._raw = self._raw + bytes(len(self._raw))  # the caller may have a view of it
        return False

    def _begin_body(self, head: Head, rest: bytearray) -> bool:
        self.head = head
        self._find_framing(head)
        self._body = self._body_of(head)
        if self._left == 0:
            self.keep = head.keeps and not rest
            return True
        if self._chunks is not None:
            self._raw = bytearray(_CODED)
            return self._coded(memoryview(rest))
        self._raw = bytearray()
        return self._copied(self._body, memoryview(rest))

    def _find_framing(self, head: Head) -> None:
        """RFC 9112, section 6.3. Whoever sends both a length and a coding is up to something."""
        coding, length = head.get("transfer-encoding").lower(), head.get("content-length")
        if self._method == "HEAD" or head.status in (204, 304):
            self._left = 0
        elif coding:
            if coding != "chunked" or length:
                raise BadAnswer("the answer is coded in a way that is not taken")
            self._chunks = Chunks()
        elif length:
            self._left = head.length
            if self._left is None:
                raise BadAnswer("the answer does not say how long it is")

    # --- the body --------------------------------------------------------------------------------

    def _took(self, body: Body, count: int) -> bool:
        more = body.took(count)
        if self._left is None:
            return not more
        self._left -= count
        if self._left == 0:
            assert self.head is not None
            self.keep = self.head.keeps
            return True
        return not more

    def _copied(self, body: Body, data: memoryview) -> bool:
        """Take what came along with the head."""
        surplus = self._left is not None and len(data) > self._left
        if self._left is not None:
            data = data[: self._left]
        done = False
        while data and not done:
            room = body.buffer()
            part = data[: len(room)]
            room[: len(part)] = part
            data = data[len(part) :]
            done = self._took(body, len(part))
        self.keep = self.keep and not surplus
        return done

    def _coded(self, data: memoryview) -> bool:
        assert self._chunks is not None and self._body is not None and self.head is not None
        for part in self._chunks.feed(data):
            left = part
            while left:
                room = self._body.buffer()
                piece = left[: len(room)]
                room[: len(piece)] = piece
                left = left[len(piece) :]
                if not self._body.took(len(piece)):
                    return True
        self.keep = self.head.keeps and not self._chunks.surplus
        return self._chunks.done
