"""Snapshots of given paths."""

from collections.abc import Mapping

from meshcache.origin.base import Listed
from meshcache.snapshot import Builder, Snapshot


def snapshot_of(sizes: Mapping[str, int]) -> Snapshot:
    """A snapshot of these files: path -> bytes."""
    builder = Builder([("/", "test:")])
    for path, size in sizes.items():
        builder.add(0, Listed(key=path, path=path, size=size, mtime_ns=0, tag="t"))
    return Snapshot(builder.build())
