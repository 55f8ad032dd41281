"""Loans: a block that cannot be evicted while somebody reads it.

All loans of a block share one descriptor and one mapping; a pin has neither, as its borrower has a
mapping of his own. The mapping lives as long as anything
refers to it, which may be longer than the loan (a response that is being written while its request
was given up), so nobody closes it: it goes with its last view, and counts as a use until then.
"""

import asyncio
import os
import warnings
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Self

from meshcache.block import BlockId
from meshcache.store.pages import Pages, map_read_only

Later = Callable[[Callable[[], None]], None]
"""Takes what is to be done on the event loop's thread soon; may be called from any thread."""


class Lent:
    """What the loans of one block share. Ends, and closes the descriptor, with the last of them."""

    def __init__(
        self,
        block_id: BlockId,
        *,
        begin: Callable[[], None],
        end: Callable[[], None],
        last: Callable[["Lent"], None],
        unpin: Callable[[], None],
        later: Later,
    ) -> None:
        """`begin` and `end` bracket each use, `begin` and `unpin` each pin; `last` is called before
        the descriptor closes."""
        self.id = block_id
        self.fd = -1
        self.length = 0
        self.checksums = b""
        self.loans = 0
        self.opening: asyncio.Event | None = None
        """Set while a thread is opening and checking the file; then what it is set to."""
        self.later = later
        self._begin = begin
        self._end = end
        self._last = last
        self._unpin = unpin
        self._mapping: weakref.ref[Pages] | None = None
        begin()

    def open(self, fd: int, length: int, checksums: bytes) -> Self:
        """Take over the descriptor of a block that is known to be right."""
        self.fd, self.length, self.checksums = fd, length, checksums
        return self

    def mapping(self) -> Pages:
        """The read-only mapping of the data, made at first need."""
        mapping = self._mapping() if self._mapping else None
        if mapping is None:
            mapping = map_read_only(self.fd, self.length)
            self._mapping = weakref.ref(mapping)
            self._begin()
            when_gone(mapping, self.later, self._end)
        return mapping

    def pin(self) -> "Pin":
        """A use that outlives the loans."""
        self._begin()
        return Pin(self._unpin)

    def drop(self) -> None:
        """End one loan."""
        self.loans -= 1
        if self.loans:
            return
        self._last(self)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self._end()


class Pin:
    """A loan of which nothing is open here: the block stays until `release`."""

    __slots__ = ("_end",)

    def __init__(self, end: Callable[[], None]) -> None:
        """For `Held.pinned`."""
        self._end: Callable[[], None] | None = end

    def release(self) -> None:
        """Give it back. Idempotent."""
        if self._end is not None:
            end, self._end = self._end, None
            end()


class Held:
    """A lent block: its bytes stay until `release`. Belongs to the event loop's thread."""

    __slots__ = ("_lent", "_view", "id")

    def __init__(self, lent: Lent) -> None:
        """For the store; others get one from `Store.lend`, `Draft.commit` or `share`."""
        lent.loans += 1
        self.id = lent.id
        self._lent: Lent | None = lent
        self._view: memoryview | None = None

    @property
    def _live(self) -> Lent:
        if self._lent is None:
            raise ValueError(f"the loan of block {self.id} was released")
        return self._lent

    @property
    def length(self) -> int:
        """Bytes."""
        return self._live.length

    @property
    def checksums(self) -> bytes:
        """The blake3 of each piece, one after the other: 32 bytes for each 256 KiB."""
        return self._live.checksums

    def fileno(self) -> int:
        """A read-only descriptor of a file that begins with the block's `length` bytes, shared
        by all its loans (use pread, mmap or send it; its offset is nobody's)."""
        return self._live.fd

    @property
    def view(self) -> memoryview:
        """The block's bytes, mapped read-only.

        What was cut from it stays valid after `release`, and the block in use until that is gone.

        Raises:
            EnvironmentUnfit: no descriptor or address space is left for the mapping.
        """
        lent = self._live
        if self._view is None:
            self._view = lent.mapping().data
        return self._view

    def share(self) -> "Held":
        """A second loan of the same block, released on its own."""
        return Held(self._live)

    def pinned(self) -> Pin:
        """Give the loan back for one that holds no descriptor, for whoever has sent it on."""
        pin = self._live.pin()
        self.release()
        return pin

    def release(self) -> None:
        """Give the loan back. Idempotent."""
        if self._lent is not None:
            lent, self._lent, self._view = self._lent, None, None
            lent.drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def __del__(self) -> None:
        lent = getattr(self, "_lent", None)
        if lent is not None:
            warnings.warn(f"the loan of block {self.id} was never released", ResourceWarning, 2)
            lent.later(lent.drop)


def when_gone(memory: object, later: Later, done: Callable[[], None]) -> None:
    """Have `done` called soon after the last reference to a mapping, or an array, is gone, in any
    thread."""
    weakref.finalize(memory, later, done).atexit = False
