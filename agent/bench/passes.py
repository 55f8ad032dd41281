"""One pass: files read by several streams at a time, its time, and where the bytes came from."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

from meshcache.agent.bench.choice import File
from meshcache.units import MIB

_PART = 16 * MIB
"""Bytes of a large file that one stream reads at a time."""

Status = Callable[[], Awaitable[dict[str, int]]]
"""Gives what readers of the agent have had so far: bytes by source."""


class Part(NamedTuple):
    """A range of a file."""

    path: str
    start: int
    stop: int


class Pass(NamedTuple):
    """What a pass took."""

    item: str
    way: str
    seconds: float
    bytes: int
    files: int
    sources: dict[str, int]
    """Bytes by where the agent had them from: store, peer, origin."""

    @property
    def by_source(self) -> str:
        """``origin 75%, store 25%``; ``-`` if the agent was not asked."""
        total = sum(self.sources.values())
        shares = {source: size / total for source, size in self.sources.items() if size}
        ordered = sorted(shares.items(), key=lambda share: -share[1])
        return ", ".join(f"{source} {share:.0%}" for source, share in ordered) or "-"


class Reader(Protocol):
    """A way to the bytes."""

    name: str

    async def read(self, part: Part) -> int:
        """Read a part; how many bytes it was."""


class AgentReader:
    """Over HTTP from the agent."""

    name = "agent"

    def __init__(self, read: Callable[[str, str], AsyncGenerator[bytes]]) -> None:
        """`read` gives a path's bytes of a Range header."""
        self._read = read

    async def read(self, part: Part) -> int:
        """As they come, thrown away."""
        count = 0
        chunks = self._read(part.path, f"bytes={part.start}-{part.stop - 1}")
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                count += len(chunk)
        return count


class MountReader:
    """Through a mount, by threads. The kernel is asked to forget a file's pages before it is read,
    so that it is the mount that answers."""

    name = "mount"

    def __init__(self, mountpoint: Path, streams: int) -> None:
        """Each stream is a thread."""
        self._mountpoint = mountpoint
        self._threads = ThreadPoolExecutor(streams, "bench")

    async def read(self, part: Part) -> int:
        """By 1 MiB reads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._now, part)

    def _now(self, part: Part) -> int:
        buffer = memoryview(bytearray(MIB))
        file = os.open(self._mountpoint / part.path, os.O_RDONLY)
        try:
            os.posix_fadvise(file, part.start, part.stop - part.start, os.POSIX_FADV_DONTNEED)
            at = part.start
            while at < part.stop:
                count = os.preadv(file, [buffer[: part.stop - at]], at)
                if not count:
                    break
                at += count
            return at - part.start
        finally:
            os.close(file)

    async def look(self, files: Iterable[File]) -> None:
        """stat(2) of each."""
        paths = [self._mountpoint / file.path for file in files]
        await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: [path.stat() for path in paths]
        )


def parts_of(files: Iterable[File]) -> list[Part]:
    """The files in parts that streams can take turns with."""
    return [
        Part(file.path, start, min(start + _PART, file.size))
        for file in files
        for start in range(0, file.size, _PART)
    ]


async def run(
    item: str, way: str, reader: Reader, files: list[File], streams: int, status: Status
) -> Pass:
    """Read the files once, `streams` parts at a time."""
    waiting: Iterator[Part] = iter(parts_of(files))
    before, began = await status(), time.perf_counter()

    async def stream() -> int:
        count = 0
        for part in waiting:
            count += await reader.read(part)
        return count

    counts = await asyncio.gather(*(stream() for _ in range(streams)))
    seconds = time.perf_counter() - began
    after = await status()
    sources = {source: after[source] - before[source] for source in after}
    return Pass(item, way, seconds, sum(counts), len(files), sources)
