"""The blocks that a worker has mapped: a least-recently-used list, bounded in bytes and number.

A mapping is dropped by forgetting it: whoever still holds a view of it keeps it alive, and the
last one to let go unmaps it. So nothing is ever unmapped under a reply that is being written.
"""

from collections import OrderedDict
from collections.abc import Iterator

from meshcache.units import MIB

_SLACK = 2 * MIB
"""Bytes by which a sequential reader's requests may come out of order: the kernel's readahead has
a few requests of up to 1 MiB in flight, and each one is answered by a task of its own."""


Key = tuple[int, int]
"""(inode, index): names a block as the kernel asks for it. An inode stands for one file version,
so the key of an unchanged file's block is the same in every snapshot."""


class Mapped:
    """A mapped block."""

    __slots__ = ("_first", "_reached", "key", "lent", "view")

    def __init__(self, key: Key, view: memoryview, lent: int) -> None:
        self.key = key
        self.view = view
        """The block's bytes, exactly."""
        self.lent = lent
        """The number of the agent's loan; 0 once the door it came through is lost."""
        self._first = -1
        self._reached = 0

    def crossed_middle(self, start: int, end: int) -> bool:
        """Note a read of [start, end) within the block; True, once, when it shows a sequential
        reader that has passed the middle: then the next block is worth mapping.

        A run of reads counts as sequential once it has covered a quarter of the block, so a
        random reader rarely has a block fetched that it did not ask for.
        """
        length = len(self.view)
        if self._first > length:
            return False
        if self._first < 0 or not self._first <= start <= self._reached + _SLACK:
            self._first, self._reached = start, end
        self._reached = max(self._reached, end)
        if self._reached * 2 < length or (self._reached - self._first) * 4 < length:
            return False
        self._first = length + 1  # said once
        return True


class Window:
    """Mapped blocks by key, at most `budget` bytes and `most` of them, but always one."""

    def __init__(self, budget: int, most: int) -> None:
        self.budget = budget
        """Bytes. May be changed; takes effect with the next `add`."""
        self.most = most
        """Blocks. May be changed likewise."""
        self.bytes = 0
        self._blocks: OrderedDict[Key, Mapped] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, key: Key) -> bool:
        return key in self._blocks

    def __iter__(self) -> Iterator[Mapped]:
        """All blocks, the longest unused first."""
        return iter(self._blocks.values())

    def get(self, key: Key) -> Mapped | None:
        """The block, which counts as used now."""
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
        return block

    def add(self, block: Mapped) -> list[Mapped]:
        """Take a block in; gives the blocks that had to go for it."""
        gone = [old for old in (self._blocks.pop(block.key, None),) if old is not None]
        self._blocks[block.key] = block
        self.bytes += len(block.view) - sum(len(old.view) for old in gone)
        while len(self._blocks) > max(1, self.most) or (
            self.bytes > self.budget and len(self._blocks) > 1
        ):
            _, oldest = self._blocks.popitem(last=False)
            self.bytes -= len(oldest.view)
            gone.append(oldest)
        return gone

    def drop(self, key: Key) -> None:
        """Forget a block, if it is there."""
        block = self._blocks.pop(key, None)
        if block is not None:
            self.bytes -= len(block.view)

    def clear(self) -> None:
        """Forget every block."""
        self._blocks.clear()
        self.bytes = 0
