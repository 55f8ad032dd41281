"""What a mount must forget when its head moves from one snapshot to another."""

from collections.abc import Iterator

from meshcache.snapshot.table import ROOT_ROW, Snapshot


def changed_names(old: Snapshot, new: Snapshot) -> Iterator[tuple[int, bytes]]:
    """(parent's inode, name) of each entry that was added, removed or changed.

    Only directories that stand in both are compared: below a directory that came or went, the
    name of the directory itself is enough. A directory's inode depends on its path alone, so it
    is the same in both.
    """
    pairs = [(ROOT_ROW, ROOT_ROW)]
    while pairs:
        old_row, new_row = pairs.pop()
        parent = int(new.inode[new_row])
        before = {old.name(row): row for row in old.children(old_row)}
        after = {new.name(row): row for row in new.children(new_row)}
        for name in before.keys() | after.keys():
            was, is_now = before.get(name), after.get(name)
            if was is None or is_now is None or old.inode[was] != new.inode[is_now]:
                yield parent, name
            elif new.is_dir(is_now):
                pairs.append((was, is_now))
