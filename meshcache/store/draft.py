"""A block that is being filled: space that is taken already, bytes that nobody else can see."""

import asyncio
import mmap
import warnings
from collections.abc import Callable
from typing import Any

from meshcache.block import CHECKSUM_SIZE, BlockId, checksums
from meshcache.errors import ChecksumMismatch, StoreFull
from meshcache.store.held import Held, Later
from meshcache.units import KIB

HASHED_AT_ONCE = 128 * KIB
"""Bytes up to which hashing takes less than handing it to a thread."""

Memory = mmap.mmap | memoryview
"""What a draft lies in: memory that is written to a file in one go, or a file's mapping."""

Write = Callable[[Any, bytes], None]
"""Writes the memory's bytes, which have these checksums, to where `Publish` finds them, if it can.
Runs in the thread that hashes."""

Publish = Callable[[Any, bytes], Held]
"""Makes the memory's bytes with these checksums a block; raises StoreFull if it cannot."""


class Draft:
    """Fill `view`, then `commit` or `abort`. Belongs to the event loop's thread."""

    def __init__(
        self,
        block_id: BlockId,
        length: int,
        memory: Memory,
        *,
        publish: Publish,
        write: Write | None = None,
        remove: Callable[[], None],
        later: Later,
    ) -> None:
        """For the store; others get one from `Store.reserve` or `memory_draft`."""
        self.id = block_id
        self.length = length
        self._memory: Memory | None = memory
        self._view: memoryview | None = memoryview(memory)[:length]
        self._publish = publish
        self._write = write
        self._remove = remove
        self._later = later
        self._committing = False

    @property
    def view(self) -> memoryview:
        """The block's bytes, writable: exactly `length`. Write nothing once `commit` is called,
        and keep no part of it longer than needed: the block is in use while one is there."""
        if self._view is None:
            raise ValueError(f"the draft of block {self.id} is over")
        return self._view

    async def commit(self, checksums: bytes | None = None) -> Held:
        """Hash the bytes and write them, in a thread if they are many, and make them a block that
        is lent to the caller.

        When two drafts of one block are committed, the later one takes the name; both are good.
        A commit that is cancelled or raises has aborted the draft.

        Raises:
            ChecksumMismatch: `checksums` (one for each piece) were given and are not the bytes'.
            StoreFull: the draft was aborted, or the store closed, before the block was there.
        """
        if self._committing:
            raise ValueError(f"the draft of block {self.id} was committed before")
        self._committing = True
        try:
            found = await self._hashed()
            if self._memory is None:  # aborted, perhaps while the thread was hashing
                raise StoreFull(f"block {self.id} was given up before it was kept")
            if checksums is not None and checksums != found:
                raise ChecksumMismatch(_mismatch(self.id, checksums, found))
            return self.publish(found)
        except BaseException:
            self.abort()
            raise

    def publish(self, checksums: bytes) -> Held:
        """Make the bytes, which have these checksums, a block that is lent to the caller.

        Raises:
            StoreFull: it cannot be; the draft is still to be aborted.
        """
        held = self._publish(self._memory, checksums)
        self._memory = self._view = None
        return held

    async def _hashed(self) -> bytes:
        if self._memory is None:
            return b""
        box = [self._memory]
        if self.length <= HASHED_AT_ONCE:
            return _hash(box, self.length, self._write)
        return await asyncio.to_thread(_hash, box, self.length, self._write)

    def abort(self) -> None:
        """Throw the bytes away. Idempotent; does nothing after a commit."""
        if self._memory is not None:
            self._memory = self._view = None
            self._remove()

    def __del__(self) -> None:
        if getattr(self, "_memory", None) is not None:
            warnings.warn(f"the draft of block {self.id} was left open", ResourceWarning, 2)
            self._later(self.abort)


def _hash(box: list[Memory], length: int, write: Write | None) -> bytes:
    # The memory comes in a box that is emptied here. The executor keeps its arguments for a moment
    # after the result is known; the block would still be in use when its commit has returned.
    memory = box.pop()
    found = checksums(memoryview(memory)[:length])
    if write is not None:
        write(memory, found)
    return found


def _mismatch(block_id: BlockId, wanted: bytes, found: bytes) -> str:
    if len(wanted) != len(found):
        pieces = len(found) // CHECKSUM_SIZE
        return f"block {block_id}: {len(wanted)} bytes of checksums came for {pieces} pieces"
    starts = range(0, len(found), CHECKSUM_SIZE)
    number = next(n for n, at in enumerate(starts) if wanted[at:][:32] != found[at:][:32])
    return f"block {block_id}: piece {number} does not have the checksum it came with"
