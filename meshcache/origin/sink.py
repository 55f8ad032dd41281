"""A buffer that an answer's body is written into, from the front."""

from meshcache.errors import OriginFailed


class Sink:
    """Fills a buffer in order. What is in stays in when a request breaks off, so that the next
    attempt asks for the rest only."""

    def __init__(self, into: memoryview) -> None:
        self._into = into
        self.done = 0
        """Bytes written."""

    @property
    def left(self) -> int:
        """Bytes still missing."""
        return len(self._into) - self.done

    def write(self, chunk: bytes | memoryview) -> None:
        """Put a chunk behind what is there.

        Raises:
            OriginFailed: more came than was asked for; nothing of the chunk was written.
        """
        if len(chunk) > self.left:
            raise OriginFailed("the origin sent more bytes than were asked for")
        self._into[self.done : self.done + len(chunk)] = chunk
        self.done += len(chunk)
