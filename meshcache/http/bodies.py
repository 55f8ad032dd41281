"""Where bodies go."""

from collections.abc import Sequence

from meshcache.http.errors import TooLong

PART = 64 << 10
"""Bytes that a body of unknown length is received in at a time."""


class Whole:
    """A body of any length up to a limit, in memory."""

    def __init__(self, limit: int) -> None:
        """`limit` in bytes."""
        self.data = bytearray()
        """What has come."""
        self._limit = limit
        self._part = memoryview(bytearray(min(limit + 1, PART)))

    def buffer(self) -> memoryview:
        """See `Body.buffer`."""
        return self._part

    def took(self, count: int) -> bool:
        """See `Body.took`.

        Raises:
            TooLong: it is longer than the limit.
        """
        self.data += self._part[:count]
        if len(self.data) > self._limit:
            raise TooLong(f"the answer is longer than {self._limit} bytes")
        return True


class First:
    """The first bytes of a body that nobody needs to the end: of an error, or a redirect."""

    def __init__(self, limit: int) -> None:
        """`limit` in bytes. A longer body costs its connection."""
        self.data = bytearray()
        self._part = memoryview(bytearray(limit))

    def buffer(self) -> memoryview:
        """See `Body.buffer`."""
        return self._part[len(self.data) :]

    def took(self, count: int) -> bool:
        """See `Body.took`."""
        end = len(self.data) + count
        self.data += self._part[len(self.data) : end]
        return end < len(self._part)


class Buffers:
    """A body of a known length, received into buffers one after the other."""

    def __init__(self, buffers: Sequence[memoryview]) -> None:
        self._left = [buffer for buffer in buffers if len(buffer)][::-1]

    @property
    def full(self) -> bool:
        """Whether all has come."""
        return not self._left

    def buffer(self) -> memoryview:
        """See `Body.buffer`.

        Raises:
            TooLong: more comes than there is room for.
        """
        if not self._left:
            raise TooLong("the answer is longer than what was asked for")
        return self._left[-1]

    def took(self, count: int) -> bool:
        """See `Body.took`."""
        buffer = self._left.pop()
        if count < len(buffer):
            self._left.append(buffer[count:])
        return True
