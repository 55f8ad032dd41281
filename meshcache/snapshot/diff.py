"""What a mount must forget when its head moves from one snapshot to another."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from meshcache.snapshot.table import ROOT_ROW, Snapshot


def changed_names(old: Snapshot, new: Snapshot) -> Iterator[tuple[int, bytes]]:
    """(parent's inode, name) of each entry that was added, removed or changed; each once.

    Below a directory that came or went, the name of the directory itself is enough. An inode is a
    hash of path and version, so what stands in one snapshot alone is what changed; a directory's
    depends on its path alone, so it is the same in both.
    """
    gone, came = _missing(old, new), _missing(new, old)
    told = set()
    for row in gone.tolist():
        pair = int(old.inode[old.parent[row]]), old.name(row)
        told.add(pair)
        yield pair
    for row in came.tolist():
        pair = int(new.inode[new.parent[row]]), new.name(row)
        if pair not in told:
            yield pair


def _missing(here: Snapshot, there: Snapshot) -> npt.NDArray[np.int64]:
    """The rows of `here` whose inodes `there` has not, but their parents'."""
    ours = here.inode[here.by_inode]
    theirs = there.inode[there.by_inode]
    place = np.minimum(np.searchsorted(theirs, ours), len(theirs) - 1)
    absent = np.zeros(here.rows, dtype=np.bool_)
    absent[here.by_inode[theirs[place] != ours]] = True
    absent[ROOT_ROW] = False
    return np.flatnonzero(absent & ~absent[here.parent])
