"""Datasets of 1 thousand to 1 million files, as `benchmarks.files` measures them."""

import asyncio
from collections.abc import Callable

from rich.console import Console

from benchmarks import files
from benchmarks.growth.points import Point

COUNTS = (1_000, 10_000, 100_000, 1_000_000)
CURVE = "files"
ABOUT = "listed by one agent of two, mounted by a guest; names and stat: the first pass of each"
_NAMES, _STAT = 0, 2
"""Passes of `files.walk`."""


def measure(counts: tuple[int, ...], keep: Callable[[Point], None]) -> None:
    """All counts. Needs root."""
    for count in counts:
        walked = asyncio.run(files.bench(count, Console()))
        keep(
            Point(
                CURVE,
                count,
                {
                    "listed": walked.listed,
                    "cpu": walked.cpu,
                    "lister": walked.peak,
                    "mounted": walked.mounted,
                    "worker": walked.own,
                    "mapped": walked.mapped,
                    "names": count / walked.taken[_NAMES][0] / 1000,
                    "stat": count / walked.taken[_STAT][0] / 1000,
                },
            )
        )
