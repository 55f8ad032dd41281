"""The proxy that plays remote storage, for tests: see `benchmarks.cap`."""

from benchmarks.bandwidth import Bandwidth
from benchmarks.cap import Cap
from benchmarks.counts import Counts, KeyCount

__all__ = ["Bandwidth", "Cap", "Counts", "KeyCount"]
