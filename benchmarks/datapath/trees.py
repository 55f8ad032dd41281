"""What is read: folders of files that are made, and that the origin gets."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.model import generate
from meshcache.units import KIB, MIB

_PER_FOLDER = 1000
_SMALL = 100_000
"""Bytes of a file of the tree ``epoch``: an image, by the data sets that are trained on."""
_EPOCH_FILES = 20_000
_NAMES = 100_000
_LEAST = 500
"""Files, however small the scale."""


class Scale(NamedTuple):
    """How much of everything; all follows the bytes of the model."""

    size: int
    """Bytes of the model; with 512 MiB the other trees have their full number of files."""

    def files(self, full: int) -> int:
        """How many files in place of `full`."""
        return min(full, max(_LEAST, full * self.size // (512 * MIB)))


class Tree(NamedTuple):
    """A folder of files."""

    name: str
    """Also the bucket's."""
    make: Callable[[Path, Scale], None]
    """Write it into a folder."""
    has_data: bool = True
    """Whether there are bytes to read; else only names and attributes."""


def _model(folder: Path, scale: Scale) -> None:
    generate(folder, scale.size, dtype="F16")


def _numbered(folder: Path, count: int, size: int) -> None:
    data = os.urandom(size + 8 * KIB)
    for number in range(count):
        place = folder / f"{number // _PER_FOLDER:03}"
        if number % _PER_FOLDER == 0:
            place.mkdir(parents=True)
        # Each has bytes of its own, or a store that knows equal ones would keep one.
        start = number % (8 * KIB) if size else 0
        mark = number.to_bytes(8, "little")[:size]
        (place / f"{number:06}.bin").write_bytes(mark + data[start : start + size - len(mark)])


def _epoch(folder: Path, scale: Scale) -> None:
    _numbered(folder, scale.files(_EPOCH_FILES), _SMALL)


def _names(folder: Path, scale: Scale) -> None:
    _numbered(folder, scale.files(_NAMES), 0)


MODEL = Tree("model", _model)
EPOCH = Tree("epoch", _epoch)
NAMES = Tree("names", _names, has_data=False)
TREES = (MODEL, EPOCH, NAMES)


def files_of(folder: Path) -> list[str]:
    """The files below a folder, by relative path, in order."""
    found = [
        os.path.relpath(os.path.join(place, name), folder)  # noqa: PTH118 - a hundred thousand
        for place, _, names in os.walk(folder)
        for name in names
    ]
    return sorted(found)
