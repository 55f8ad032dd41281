"""A store in a folder of its own, and a clock that only tests move."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshcache.store import Store
from meshcache.units import MIB

Opener = Callable[..., Store]


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_store(tmp_path: Path, clock: Clock) -> Iterator[Opener]:
    """Opens the test's folder, again and again; what is left open is closed at the end."""
    opened: list[Store] = []

    def opener(quota: int = 8 * MIB, folder: Path = tmp_path / "cache") -> Store:
        opened.append(Store.open(folder, quota, now=clock))
        return opened[-1]

    yield opener
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Opener) -> Store:
    return open_store()
