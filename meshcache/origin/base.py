"""What the rest of meshcache asks of a remote storage: list it, and read a version of a file."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec

from meshcache.block import FileVersion

Arrived = Callable[[int], object]
"""Told how many bytes, from the front of a buffer, are there and of the right version."""


def nobody(count: int) -> None:
    """An `Arrived` where nobody waits for a part."""


class Listed(msgspec.Struct, frozen=True):
    """One object as a listing shows it."""

    key: str
    """The object's name, exactly as the origin spells it: what `read` asks for."""
    path: str
    """Where it stands below the origin's root, as ``a/b/c``; not yet checked for being a path."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Last modification, nanoseconds since 1970."""
    tag: str
    """What tells this version of the object from others; never empty."""
    origin: str = ""
    """The identity of the origin that has the bytes, if that is not the one that lists."""
    at: str = ""
    """Where that other origin's own tree begins, below the root of the one that lists."""


class Origin(Protocol):
    """A place that files come from. Safe to use from several tasks of one event loop."""

    @property
    def identity(self) -> str:
        """The canonical URL of the place, endpoint included and without secrets: two origins of
        one identity have the same bytes under the same key and tag. Part of each version id."""
        ...

    def covers(self, key: str) -> bool:
        """Whether an object of that key is below the origin's root. Two mounts of one bucket have
        one identity; a key is read through the one that covers it."""
        ...

    def list(self) -> AsyncIterator[Listed]:
        """All objects below the origin's root, in no certain order. Of an object that comes twice
        the later counts.

        Raises:
            OriginError: at the first thing that goes wrong. A listing that raised is no listing:
                nothing of it may be used.
        """
        ...

    async def read(
        self, file: FileVersion, offset: int, into: memoryview, arrived: Arrived = nobody
    ) -> None:
        """Fill `into` with the bytes of this version from `offset` on.

        The request is conditional, and the answer's version and total size are compared before a
        byte of it is taken; so what `arrived` tells of may be shown before all is there.

        Raises:
            ObjectChanged: the object has another version now, or is gone.
            OriginError: the bytes could not be had. `into` may be partly written.
        """
        ...

    async def verify(self, file: FileVersion) -> None:
        """Ask whether the object still has this version, without reading it.

        Raises:
            ObjectChanged: it has another one, or is gone.
            OriginError: that could not be found out.
        """
        ...

    async def close(self) -> None:
        """Give back connections. Idempotent."""
        ...
