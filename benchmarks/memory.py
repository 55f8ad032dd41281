"""The machine's memory, made ready before anything is measured.

Where the kernel is a guest, the host gives a page when it is first touched, which takes seven times
as long as clearing one (2.9 s for a GiB, then 0.42, on one such machine). Whoever is measured first
would pay for all who come after.
"""

import asyncio
import mmap
from pathlib import Path

from meshcache.budget import memory_limit
from meshcache.units import MIB

_MADV_POPULATE_WRITE = 23
"""linux/mman.h; Linux 5.14 and newer."""

_STEP = 256 * MIB
"""Bytes between two turns of the loop."""


def available() -> int:
    """Bytes of memory that can be had without swapping anything out (proc(5), MemAvailable)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = next(line for line in lines if line.startswith("MemAvailable:"))
    return min(int(found.split()[1]) << 10, memory_limit())


async def touch(size: int) -> None:
    """Write to so many bytes of memory, at most fifteen sixteenths of what is available, and give them
    back. An older kernel does nothing."""
    size = min(size, available() * 15 // 16) // _STEP * _STEP
    if not size:
        return
    with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for start in range(0, size, _STEP):
            try:
                memory.madvise(_MADV_POPULATE_WRITE, start, _STEP)
            except OSError:
                return
            await asyncio.sleep(0)
