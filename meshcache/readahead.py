"""Which blocks of a file to fetch before they are asked for. Pure: block indices in and out.

A model loader reads one file in several places at once, each going forward; so a file has several
streams. A read that continues a stream opens its window, 2 blocks wide at first and twice as wide
with each block that follows, up to the limit. A read that continues nothing begins a stream and
fetches nothing ahead, so random access costs no byte. The kernel hands reads over slightly out of
order: any block from the stream's last one to the end of what it asked for counts as going
forward, and one just behind as late.

The Linux kernel's ondemand readahead (Wu, Xi and Xu, 2008) is the model for the growing window.
"""

from collections import deque

_FIRST_WINDOW = 2

_LATE = 2
"""Blocks behind a stream's last one that still belong to it. Small: a second pass over a short
file must be seen as a stream of its own."""


class _Stream:
    def __init__(self, index: int) -> None:
        self.last = index
        """The furthest block that was read."""
        self.ahead = index + 1
        """The first block that was not asked for yet."""
        self.window = 0

    def owns(self, index: int) -> bool:
        late = _LATE if self.window else 0
        return self.last - late <= index <= max(self.last + 1, self.ahead - 1)


class Readahead:
    """The streams of one file."""

    def __init__(self, window: int = 8, streams: int = 8) -> None:
        """`window`: blocks ahead of the reader at most (0: none ever); `streams`: how many are
        remembered, the one that was quiet for the longest is forgotten first."""
        self._limit = window
        self._streams: deque[_Stream] = deque(maxlen=streams)

    def on_read(self, index: int) -> range:
        """The blocks to fetch now that `index` is read, each at most once in a stream.

        They may lie behind the end of the file; the caller knows its end.
        """
        stream = self._find(index)
        if stream is None:
            self._streams.append(_Stream(index))
            return range(0)
        if index <= stream.last:
            return range(0)
        stream.last = index
        stream.window = min(self._limit, stream.window * 2 or _FIRST_WINDOW)
        begin = max(stream.ahead, index + 1)
        stream.ahead = max(begin, index + 1 + stream.window)
        return range(begin, stream.ahead)

    def _find(self, index: int) -> _Stream | None:
        for stream in reversed(self._streams):
            if stream.owns(index):
                self._streams.remove(stream)
                self._streams.append(stream)
                return stream
        return None
