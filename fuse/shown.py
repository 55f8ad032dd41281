"""The snapshots that a mount has shown, as its keeper keeps them for the next worker.

The keeper does not look into them. It holds their files, so a new worker can name every inode that
the kernel knows, whether or not an agent is there.
"""

import os
from collections.abc import Iterator

from meshcache.fuse.messages import Show

MAX_SHOWN = 32
"""Snapshots kept, the head included. A file that stands only in an older one is stale. The price
of one is its mapping: page cache that several mounts share, no memory of its own."""


class Shown:
    """Snapshots and their files, oldest first."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[Show, int]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[tuple[Show, int]]:
        """Each with the descriptor of its file, which stays ours."""
        return iter(list(self._kept.values()))

    @property
    def sizes(self) -> dict[str, int]:
        """Id in hex -> bytes, oldest first."""
        return {id.hex(): show.size for id, (show, _) in self._kept.items()}

    def add(self, show: Show, file: int) -> None:
        """Take over a snapshot's file; one that is shown again is the newest again."""
        if self._kept and next(reversed(self._kept)) == show.snapshot:
            os.close(file)
            return
        self._forget(show.snapshot)
        first = Show(show.snapshot, show.size, show.block_size, told=not self._kept)
        self._kept[show.snapshot] = (first, file)
        while len(self._kept) > MAX_SHOWN:
            self._forget(next(iter(self._kept)))

    def told(self, snapshot: bytes) -> None:
        """The kernel has forgotten what is different in it."""
        if snapshot in self._kept:
            show, file = self._kept[snapshot]
            self._kept[snapshot] = (Show(show.snapshot, show.size, show.block_size, True), file)

    def _forget(self, snapshot: bytes) -> None:
        if snapshot in self._kept:
            _, file = self._kept.pop(snapshot)
            os.close(file)

    def close(self) -> None:
        """Forget all."""
        for snapshot in list(self._kept):
            self._forget(snapshot)
