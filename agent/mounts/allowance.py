"""What the workers of all mounts may keep mapped, in equal shares."""

import contextlib
from collections.abc import Iterator

from meshcache.fuse.door import Door
from meshcache.units import GIB

MAX_BYTES = 16 * GIB
"""Bytes of blocks that the workers of all mounts may keep mapped. What is mapped is page cache; its
page tables take a five-hundredth of it. Mapped blocks are not evicted, so the workers get no more
than three quarters of the store: new blocks come and go in the rest."""

MAX_BLOCKS = 1 << 17
"""Blocks that they may keep mapped. Each takes some hundred bytes of the agent, and no
descriptor."""


class Allowance:
    """Divides it among the doors that serve. Belongs to one event loop."""

    def __init__(self, quota: int) -> None:
        """`quota` is the store's, in bytes."""
        self._bytes = min(MAX_BYTES, quota * 3 // 4)
        self._doors: list[Door] = []

    @property
    def bytes(self) -> int:
        """Bytes of blocks that each worker may keep mapped."""
        return self._bytes // max(1, len(self._doors))

    @property
    def blocks(self) -> int:
        """Blocks that each may."""
        return MAX_BLOCKS // max(1, len(self._doors))

    @contextlib.contextmanager
    def share(self, door: Door) -> Iterator[None]:
        """While it lasts, this door's worker has a share, and the others less."""
        self._doors.append(door)
        self._agree()
        try:
            yield
        finally:
            self._doors.remove(door)
            self._agree()

    def _agree(self) -> None:
        for door in self._doors:
            door.agree()
