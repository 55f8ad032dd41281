"""The requests that wait in a worker's hands: since when, and until when.

All others are answered where they are read. The keeper asks for these now and then, because a
request's deadline is counted from when it was first read, and the worker may die before it ends.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from meshcache.fuse.messages import Waiting

MOST = 1500
"""Requests that are told of at once: a message of at most 48 KiB."""


class Source(Protocol):
    """Where requests come from (`meshcache.fuse.device.Device`)."""

    @property
    def behind(self) -> float:
        """Seconds for which what is read now may have waited there."""
        ...


class _Wait:
    __slots__ = ("began", "inode", "offset", "opcode")

    def __init__(self, opcode: int, inode: int, offset: int, began: float) -> None:
        self.opcode, self.inode, self.offset, self.began = opcode, inode, offset, began


class Waits:
    """Requests that wait."""

    def __init__(self, source: Source, now: Callable[[], float], deadline: float) -> None:
        """`now` is in seconds, from any beginning; `deadline` in seconds from a request's."""
        self._source = source
        self._now = now
        self._deadline = deadline
        self._waits: set[_Wait] = set()

    @contextmanager
    def wait(self, opcode: int, inode: int, offset: int = 0) -> Iterator[float]:
        """Around all that a request waits for; gives the time at which it has to end."""
        wait = _Wait(opcode, inode, offset, self._now() - self._source.behind)
        self._waits.add(wait)
        try:
            yield wait.began + self._deadline
        finally:
            self._waits.remove(wait)

    def told(self) -> tuple[list[Waiting], float]:
        """What the keeper is told (`Pong`): the oldest, and how old others may be."""
        now = self._now()
        waits = sorted(self._waits, key=lambda wait: wait.began)
        oldest = [Waiting(w.opcode, w.inode, w.offset, now - w.began) for w in waits[:MOST]]
        return oldest, oldest[-1].age if len(waits) > MOST else 0.0
