"""Columns of text, and finding a name among a directory's, which stand sorted one after the other.

A binary search with a Python step for each comparison takes ten of them among a thousand names. So
every 32nd name of a large directory is kept, as objects that `bisect` compares by itself, and the
few names between two of them are searched as one text.
"""

from bisect import bisect_left, bisect_right

STEP = 32
"""Names that are searched as one text."""

MAX_KEPT = 1 << 16
"""Names kept, of all directories: about 4 MiB."""


class Texts:
    """A text for each row, one after the other."""

    def __init__(self, text: memoryview, ends: memoryview) -> None:
        """`text`: all of them; `ends` (u4): where each row's ends."""
        self.text = text
        self.ends = ends

    def __getitem__(self, row: int) -> bytes:
        ends = self.ends
        return bytes(self.text[ends[row - 1] if row else 0 : ends[row]])


class Names(Texts):
    """The names of all rows of a snapshot. The root's, row 0, is empty."""

    def __init__(self, text: memoryview, ends: memoryview) -> None:
        """See `Texts`."""
        super().__init__(text, ends)
        self._kept: dict[int, list[bytes]] = {}
        """First row of a directory's entries -> every `STEP`th name from there on."""
        self._count = 0

    def find(self, name: bytes, first: int, stop: int) -> int | None:
        """The row of `name` among the sorted ones from row `first` (not the root) up to `stop`."""
        if stop - first > STEP:
            step = bisect_right(self._kept.get(first) or self._keep(first, stop), name) - 1
            if step < 0:
                return None
            first += step * STEP
            stop = min(first + STEP, stop)
        ends = self.ends
        begin = ends[first - 1]
        text = bytes(self.text[begin : ends[stop - 1]])
        place = text.find(name)
        while place >= 0:  # it may stand within another name, or over the border of two
            end = begin + place + len(name)
            row = bisect_left(ends, end, first, stop)
            if row < stop and ends[row] == end and ends[row - 1] == begin + place:
                return row
            place = text.find(name, place + 1)
        return None

    def _keep(self, first: int, stop: int) -> list[bytes]:
        kept = [self[row] for row in range(first, stop, STEP)]
        self._count += len(kept)
        if self._count > MAX_KEPT:
            self._kept.clear()
            self._count = len(kept)
        self._kept[first] = kept
        return kept
