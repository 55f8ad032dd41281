"""Which files of a dataset are read: one large one, and some small ones."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from meshcache.errors import InvalidInput
from meshcache.units import MIB

SMALL = MIB
"""Bytes up to which a file is a small one."""

MOST_DIRECTORIES = 200
"""Directories that are looked into."""

List = Callable[[str], Awaitable[list[dict[str, Any]]]]
"""Gives the entries of a directory of the dataset: name, type, size."""


class File(NamedTuple):
    """A file of the dataset."""

    path: str
    size: int
    """Bytes."""


class Choice(NamedTuple):
    """What to read."""

    large: File | None
    small: list[File]


async def choose(entries: List, root: str, small: int) -> Choice:
    """The largest file below `root`, and at most `small` of the small ones, as they come.

    Looks into directories level by level until there are enough small files, at most
    `MOST_DIRECTORIES`.

    Raises:
        InvalidInput: there is no file with any bytes.
    """
    waiting, looked = deque([root.strip("/")]), 0
    large: File | None = None
    found: list[File] = []
    while waiting and looked < MOST_DIRECTORIES and not (large and len(found) >= small):
        place = waiting.popleft()
        looked += 1
        for entry in await entries(place or "/"):
            path = f"{place}/{entry['name']}".lstrip("/")
            if entry["type"] == "dir":
                waiting.append(path)
            elif 0 < entry["size"] <= SMALL:
                found.append(File(path, entry["size"]))
            elif entry["size"] > SMALL and (large is None or entry["size"] > large.size):
                large = File(path, entry["size"])
    if large is None and not found:
        raise InvalidInput(f"there is no file to read below {root!r}: choose another --path")
    return Choice(large, found[:small])
