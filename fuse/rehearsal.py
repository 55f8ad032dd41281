"""Doing once, with two tiny snapshots, what a worker does with real ones.

Libraries import parts of themselves when these are first used (numpy does, in `unique`). A worker
cannot, because in its sandbox no path leads anywhere; so whatever it uses has been used before.
"""

from meshcache.fuse.tree import Tree
from meshcache.origin.base import Listed
from meshcache.snapshot import ROOT_INODE, Builder, Changes, Snapshot


def rehearse() -> None:
    """Leave nothing for libraries to import. To be called before the process confines itself."""
    tree = Tree()
    old = _snapshot("first")
    tree.show(old)
    new = _snapshot("second")
    tree.show(new)
    for listed in tree.list(ROOT_INODE, 0):
        tree.find(listed.entry.inode)
    tree.file(tree.lookup(tree.lookup(ROOT_INODE, b"folder").inode, b"file").inode)
    changes = Changes(old, new)
    list(changes.names())
    changes.directories()


def _snapshot(tag: str) -> Snapshot:
    builder = Builder([("", "rehearsal")])
    builder.add(0, Listed("folder/file", "folder/file", 1, 0, tag))
    return Snapshot(builder.build())
