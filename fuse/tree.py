"""What a mount shows: the head, and the snapshots shown before it, by inode.

An inode never names two things (`meshcache.snapshot`), so it can be looked up in any snapshot
that has it: in the head first, then in the earlier ones, newest first. So a file that was opened
before the head moved is still found, and no handle holds any state. What is found nowhere is
stale. This module is pure: no kernel, no clock, no input or output.
"""

from collections.abc import Iterator
from typing import NamedTuple

from meshcache.errors import NotAFile, NotFound, PathNotFound
from meshcache.fuse.shown import MAX_SHOWN
from meshcache.snapshot import ROOT_INODE, ROOT_ROW, Entry, Snapshot

_MAX_FOUND = 1 << 16
"""Inodes whose place is remembered. A table look-up is a binary search in cold memory (and a
reader asks for the same file thousands of times); a remembered one is a dict's."""

_SERIAL_BITS = 22
_POSITION_BITS = 40
_MAX_POSITION = (1 << _POSITION_BITS) - 1


class Found(NamedTuple):
    """Where an inode stands."""

    snapshot: Snapshot
    row: int
    inode: int
    is_dir: bool
    size: int
    """Bytes; 0 for a directory."""


class Listed(NamedTuple):
    """One name of a directory's listing."""

    name: bytes
    entry: Entry
    next_offset: int
    """Where the listing goes on after this name."""


class Tree:
    """The snapshots that a mount shows."""

    def __init__(self) -> None:
        self._shown: list[Snapshot] = []
        self._found: dict[int, Found] = {}

    @property
    def head(self) -> Snapshot:
        """The snapshot that names are looked up in.

        Raises:
            NotFound: none was shown yet.
        """
        if not self._shown:
            raise NotFound("the mount has no snapshot to show yet")
        return self._shown[0]

    @property
    def shown(self) -> tuple[Snapshot, ...]:
        """All snapshots, the head first."""
        return tuple(self._shown)

    def show(self, snapshot: Snapshot) -> Snapshot | None:
        """Make `snapshot` the head; gives the head before it, or None if there was none or it is
        the same one."""
        old = self._shown[0] if self._shown else None
        if old is not None and old.id == snapshot.id:
            return None
        # A snapshot that comes back (the origin was rolled back) moves to the front.
        others = [other for other in self._shown if other.id != snapshot.id]
        self._shown = [snapshot, *others][:MAX_SHOWN]
        self._found.clear()
        return old

    def find(self, inode: int) -> Found:
        """Where an inode stands, in the newest snapshot that has it.

        Raises:
            NotFound: in none: the inode is stale.
        """
        found = self._found.get(inode)
        if found is None:
            found = self._search(inode)
            self._remember(found)
        return found

    def _remember(self, found: Found) -> None:
        if len(self._found) >= _MAX_FOUND:
            self._found.clear()
        self._found[found.inode] = found

    def _search(self, inode: int) -> Found:
        for snapshot in self._shown:
            row = ROOT_ROW if inode == ROOT_INODE else snapshot.row_of(inode)
            if row is not None:
                entry = snapshot.entry(row)
                return Found(snapshot, row, inode, entry.is_dir, entry.size)
        raise NotFound(f"inode {inode} stands in no snapshot that this mount has shown")

    def file(self, inode: int) -> Found:
        """A file's place.

        Raises:
            NotFound: the inode is stale.
            NotAFile: it is a directory's.
        """
        found = self.find(inode)
        if found.is_dir:
            raise NotAFile(f"inode {inode} is a directory")
        return found

    def entry(self, inode: int) -> Entry:
        """An inode's row.

        Raises:
            NotFound: the inode is stale.
        """
        found = self.find(inode)
        return found.snapshot.entry(found.row)

    def lookup(self, parent: int, name: bytes) -> Entry:
        """The entry `name` of the directory with inode `parent`; ``.`` and ``..`` are known.

        Raises:
            NotFound: the directory is stale.
            PathNotFound: it has no such entry.
        """
        snapshot, row, *_ = self.find(parent)
        match name:
            case b".":
                return snapshot.entry(row)
            case b"..":
                return snapshot.entry(snapshot.entry(row).parent)
        child = snapshot.lookup(row, name)
        if child is None:
            raise PathNotFound(f"no {name!r} in the directory with inode {parent}")
        entry = snapshot.entry(child)
        if snapshot is self._shown[0]:  # the newest that has it: what `find` would find
            self._remember(Found(snapshot, child, entry.inode, entry.is_dir, entry.size))
        return entry

    def list(self, inode: int, offset: int) -> Iterator[Listed]:
        """The names of a directory from `offset` on, ``.`` and ``..`` first.

        An offset says which snapshot the listing began in, by 22 bits of its id, and the place
        reached there. So a listing that began before the head moved ends as it began: no name
        twice, none left out, and still no state per handle. Offset 0 begins, in the head.

        Raises:
            NotFound: the directory is stale, or the snapshot that the listing began in is.
        """
        if not offset:
            found = self.find(inode)
            return self._names(found.snapshot, found.row, 0)
        serial, position = offset >> _POSITION_BITS, offset & _MAX_POSITION
        for snapshot in self._shown:
            if _serial(snapshot) == serial:
                row = ROOT_ROW if inode == ROOT_INODE else snapshot.row_of(inode)
                if row is not None:
                    return self._names(snapshot, row, position)
        raise NotFound(f"the listing of inode {inode} began in a snapshot that is gone")

    def _names(self, snapshot: Snapshot, row: int, position: int) -> Iterator[Listed]:
        base = _serial(snapshot) << _POSITION_BITS
        entry = snapshot.entry
        if position < 1:
            yield Listed(b".", entry(row), base | 1)
        if position < 2:
            yield Listed(b"..", entry(entry(row).parent), base | 2)
        rows = snapshot.children(row)[max(0, position - 2) :]
        for place, listed in enumerate(snapshot.entries(rows), max(2, position) + 1):
            yield Listed(listed.name, listed, base | place)


def _serial(snapshot: Snapshot) -> int:
    """22 bits of a snapshot's id: with 40 of the position, an offset stays positive in 63."""
    return int(snapshot.id[:8], 16) >> (32 - _SERIAL_BITS)
