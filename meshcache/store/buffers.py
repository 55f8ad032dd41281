"""The memory that blocks are received in, used again while they come one after the other.

What the kernel gives out it zeroes first, and the host of a virtual machine may have to find and
zero it once more; what was just used is in the processor's cache besides. So a few buffers are kept
for the next blocks, and go back to the kernel when none has come for some seconds.
"""

import asyncio
import mmap
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np
import numpy.typing as npt

from meshcache.store.held import when_gone

KEPT = 4
"""Buffers that wait for a block at the same time, at most."""

IDLE = 2.0
"""Seconds without a block after which they go back to the kernel."""

_HUGE = 2 << 20
"""Bytes of a huge page, where there are any."""


class Buffers:
    """Buffers of one length. Belongs to one event loop; they may be let go in any thread."""

    def __init__(self, length: int, extra: int) -> None:
        """Bytes of the longest block, and of what follows it at most."""
        self._length = length
        self._size = length + extra
        self._spare: list[mmap.mmap] = []
        self._taken = False
        """Whether one was, since the timer was set."""
        self._timer: asyncio.TimerHandle | None = None

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """So many bytes, with anything in them. They are free again with the last user's view."""
        self._taken = True
        if self._timer is None:
            self._set_timer()
        spare = self._spare
        try:
            pages = spare.pop()
        except IndexError:
            pages = self._new()
        memory = np.frombuffer(pages, np.uint8, size)
        when_gone(memory, _now, partial(_give_back, spare, pages))
        return memory

    def _new(self) -> mmap.mmap:
        # Linux since 6.12 puts on the border of a huge page only what is whole huge pages long.
        # What is beyond the block takes address space, and of memory a page or two.
        huge = self._length // _HUGE * _HUGE
        mapped = -(-self._size // _HUGE) * _HUGE if huge else self._size
        pages = mmap.mmap(-1, mapped, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError):  # a kernel without huge pages
            pages.madvise(mmap.MADV_HUGEPAGE, 0, huge)
        return pages

    def _set_timer(self) -> None:
        self._taken = False
        self._timer = asyncio.get_running_loop().call_later(IDLE, self._look)

    def _look(self) -> None:
        if self._taken:
            self._set_timer()
        else:
            self._timer = None
            self._spare = []  # those that are in use go with their users


def _give_back(spare: list[mmap.mmap], pages: mmap.mmap) -> None:
    if len(spare) < KEPT:
        spare.append(pages)


def _now(done: Callable[[], None]) -> None:
    done()
