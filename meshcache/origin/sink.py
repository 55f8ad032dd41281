"""A buffer that an answer's body is received into, from the front: a `meshcache.http.Body`."""

from meshcache.errors import OriginFailed
from meshcache.origin.base import Arrived, nobody
from meshcache.units import KIB


class Sink:
    """Fills a buffer in order. What is in stays in when a request breaks off, so that the next
    attempt asks for the rest only."""

    def __init__(self, into: memoryview, arrived: Arrived = nobody) -> None:
        self._into = into
        self._arrived = arrived
        self.done = 0
        """Bytes written."""

    @property
    def left(self) -> int:
        """Bytes still missing."""
        return len(self._into) - self.done

    def buffer(self) -> memoryview:
        """Where the next bytes go.

        Raises:
            OriginFailed: more comes than was asked for.
        """
        if not self.left:
            raise OriginFailed("the origin sent more bytes than were asked for")
        return self._into[self.done :]

    def took(self, count: int) -> bool:
        """So many bytes more are there."""
        self.done += count
        self._arrived(self.done)
        return True

    def write(self, chunk: bytes | memoryview) -> None:
        """Put a chunk behind what is there.

        Raises:
            OriginFailed: more came than was asked for; nothing of the chunk was written.
        """
        if len(chunk) > self.left:
            raise OriginFailed("the origin sent more bytes than were asked for")
        self._into[self.done : self.done + len(chunk)] = chunk
        self.took(len(chunk))


class Cut:
    """Of a body that is the whole object, the part that a sink wants."""

    def __init__(self, sink: Sink, skip: int) -> None:
        """`skip` bytes come before it."""
        self._sink = sink
        self._skip = skip
        self._dropped = memoryview(bytearray(min(skip, 256 * KIB)))

    def buffer(self) -> memoryview:
        """See `Body.buffer`."""
        return self._dropped[: self._skip] if self._skip else self._sink.buffer()

    def took(self, count: int) -> bool:
        """See `Body.took`."""
        if self._skip:
            self._skip -= count
            return True
        self._sink.took(count)
        return self._sink.left > 0
