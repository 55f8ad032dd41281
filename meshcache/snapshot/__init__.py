"""The immutable listing of a dataset at one moment: a table that is mapped, not loaded."""

from meshcache.snapshot.build import Builder
from meshcache.snapshot.diff import Changes
from meshcache.snapshot.skipped import MAX_SKIPPED, Skipped
from meshcache.snapshot.table import ROOT_INODE, ROOT_ROW, Entry, Snapshot, snapshot_id

__all__ = [
    "MAX_SKIPPED",
    "ROOT_INODE",
    "ROOT_ROW",
    "Builder",
    "Changes",
    "Entry",
    "Skipped",
    "Snapshot",
    "snapshot_id",
]
