"""Using an origin in tests: list it into a dict, and read versions out of it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from meshcache.block import FileVersion
from meshcache.dataset import Mount
from meshcache.origin import Listed, Origin
from meshcache.origin.open import open_origin
from tests.support.seaweed import Seaweed


def keys_of(seaweed: Seaweed) -> Callable[[], Mapping[str, str]]:
    """The secret options' values for the test server."""
    return lambda: {"access_key": seaweed.access_key, "secret_key": seaweed.secret_key}


@asynccontextmanager
async def origin_at(
    url: str,
    options: Mapping[str, str] | None = None,
    secrets: Callable[[], Mapping[str, str]] = dict,
) -> AsyncIterator[Origin]:
    """An origin, closed at the end."""
    origin = open_origin(Mount(url), options or {}, secrets)
    try:
        yield origin
    finally:
        await origin.close()


async def listing(origin: Origin) -> dict[str, Listed]:
    """The whole listing, by path."""
    return {listed.path: listed async for listed in origin.list()}


def version_of(origin: Origin, listed: Listed) -> FileVersion:
    """The file version that a listing's row stands for."""
    return FileVersion(origin.identity, listed.key, listed.tag, listed.size)


async def bytes_of(origin: Origin, file: FileVersion, start: int = 0, stop: int = -1) -> bytes:
    """The bytes from `start` to `stop` (the end) of a version."""
    data = bytearray((file.size if stop < 0 else stop) - start)
    await origin.read(file, start, memoryview(data))
    return bytes(data)
