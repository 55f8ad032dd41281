"""The chunked coding of bodies (RFC 9112, section 7.1), taken apart. Pure."""

import re
from collections.abc import Iterator

from meshcache.http.errors import BadAnswer

MAX_LINE = 4096
"""Bytes of a chunk's size with its extensions, and of all trailers together."""

_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n\0]*)?")


class Chunks:
    """Takes a coded body in parts cut anywhere, and gives what they hold of the body."""

    def __init__(self) -> None:
        self.done = False
        """The last chunk and the trailers are over."""
        self.surplus = False
        """Something came behind them."""
        self._left = 0
        """Bytes of the present chunk that are still to come."""
        self._line = bytearray()
        self._reading = self._size
        self._trailers = 0

    def feed(self, data: memoryview) -> Iterator[memoryview]:
        """The parts of the body in `data`. What is behind the body's end is left alone.

        Raises:
            BadAnswer: this is not the chunked coding.
        """
        while data and not self.done:
            if self._left:
                part = data[: self._left]
                self._left -= len(part)
                data = data[len(part) :]
                yield part
                if not self._left:
                    self._reading = self._end_of_chunk
                continue
            data = self._take_line(data)
        self.surplus = len(data) > 0

    def _take_line(self, data: memoryview) -> memoryview:
        """Take what `data` has of a line, and read the line if that is whole."""
        piece = bytes(data[: MAX_LINE + 1])
        stop = piece.find(b"\n") + 1
        self._line += piece[:stop] if stop else piece
        if len(self._line) > MAX_LINE:
            raise BadAnswer("a line between the parts of the answer is too long")
        if not stop:
            return data[len(piece) :]
        if not self._line.endswith(b"\r\n"):
            raise BadAnswer("the parts of the answer are not divided as HTTP has it")
        line = bytes(self._line[:-2])
        self._line.clear()
        self._reading(line)
        return data[stop:]

    def _size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise BadAnswer("a part of the answer does not say how long it is")
        self._left = int(match[1], 16)
        if not self._left:
            self._reading = self._trailer

    def _end_of_chunk(self, line: bytes) -> None:
        if line:
            raise BadAnswer("a part of the answer is longer than it says")
        self._reading = self._size

    def _trailer(self, line: bytes) -> None:
        self.done = not line
        self._trailers += len(line)
        if self._trailers > MAX_LINE:
            raise BadAnswer("the trailers of the answer are too long")
