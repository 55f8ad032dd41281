"""Reading a snapshot where it lies: every answer is a look into the mapped columns."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from meshcache.block import FileVersion
from meshcache.errors import NotADirectory, NotAFile, PathNotFound
from meshcache.snapshot.layout import (
    ODD_COLUMNS,
    ROOT_INODE,
    ROW_COLUMNS,
    SKIPPED,
    Source,
    decode,
    decode_skipped,
    snapshot_id,
)
from meshcache.snapshot.names import Names, Texts

__all__ = ["ROOT_INODE", "ROOT_ROW", "Entry", "Snapshot", "snapshot_id"]

ROOT_ROW = 0

_CHUNK = 256
"""Rows that `entries` reads at a time."""

_CODES: dict[str, Literal["Q", "q", "I", "H"]] = {"<u8": "Q", "<i8": "q", "<u4": "I", "<u2": "H"}
"""Single elements are read through a memoryview of that format: three times as fast as numpy."""


class Entry(NamedTuple):
    """One row, as a file system shows it."""

    row: int
    inode: int
    parent: int
    """The parent directory's row; the root's is the root."""
    name: bytes
    is_dir: bool
    size: int
    """Bytes; 0 for a directory."""
    mtime_ns: int
    """Nanoseconds since 1970; 0 for a directory."""


class Snapshot:
    """A table over the bytes of a snapshot, which must stay as they are while it is in use."""

    def __init__(self, data: memoryview | bytes, *, known_id: str | None = None) -> None:
        """Open a snapshot; nothing is copied.

        Args:
            data: what `Builder.build` gave, usually a mapped file.
            known_id: the snapshot's id if it is known to be right; else it is computed.

        Raises:
            InvalidInput: the bytes are no snapshot.
        """
        view = memoryview(data).cast("B")
        self.data = view
        self.id = known_id or snapshot_id(view)
        self._header, columns = decode(view)
        self.rows = self._header.rows
        self.files = self._header.files
        self.bytes = self._header.bytes
        self.inode, self.parent, self.first, self.count = (
            np.frombuffer(columns[name], dtype=ROW_COLUMNS[name])
            for name in ("inode", "parent", "first", "count")
        )
        self.size, self.mtime, self.source = (
            np.frombuffer(columns[name], dtype=ROW_COLUMNS[name])
            for name in ("size", "mtime", "source")
        )
        self.by_inode, self.version, self.by_version = (
            np.frombuffer(columns[name], dtype=ROW_COLUMNS[name])
            for name in ("by_inode", "version", "by_version")
        )
        self._at = {name: columns[name].cast(_CODES[kind]) for name, kind in ROW_COLUMNS.items()}
        self._names = Names(columns["name"], columns["name_end"].cast("I"))
        self._tags = Texts(columns["tag"], columns["tag_end"].cast("I"))
        rows, keys, ends = (columns[name] for name in ODD_COLUMNS)
        self._odd_row, self._odd_keys = rows.cast("I"), Texts(keys, ends.cast("I"))
        self._skipped = columns[SKIPPED]
        self._above = ROOT_ROW, b""
        """A directory's row, and what the paths of its entries begin with."""

    def name(self, row: int) -> bytes:
        """The last part of the row's path; the root's is empty."""
        return self._names[row]

    def is_dir(self, row: int) -> bool:
        return not self._at["source"][row]

    def entry(self, row: int) -> Entry:
        at = self._at
        return Entry(  # by position: by name it takes half as long again
            row,
            at["inode"][row],
            at["parent"][row],
            self._names[row],
            not at["source"][row],
            at["size"][row],
            at["mtime"][row],
        )

    def entries(self, rows: range) -> Iterator[Entry]:
        """The same for a run of rows, several times as fast."""
        at, names, ends = self._at, self._names.text, self._names.ends
        for first in range(rows.start, rows.stop, _CHUNK):
            stop = min(first + _CHUNK, rows.stop)
            begin = ends[first - 1] if first else 0
            columns = [at[c][first:stop].tolist() for c in ("inode", "parent", "source")]
            columns += [at[c][first:stop].tolist() for c in ("size", "mtime")]
            end_of = ends[first:stop].tolist()
            text = bytes(names[begin : end_of[-1]])
            start = 0
            for row, inode, parent, source, size, mtime, end in zip(
                range(first, stop), *columns, end_of, strict=True
            ):
                yield Entry(row, inode, parent, text[start : end - begin], not source, size, mtime)
                start = end - begin

    def children(self, row: int) -> range:
        """The rows of a directory's entries, sorted by name; empty for a file."""
        first = self._at["first"][row]
        return range(first, first + self._at["count"][row])

    def lookup(self, parent: int, name: bytes) -> int | None:
        """The row of the entry called `name` in the directory at row `parent`."""
        first = self._at["first"][parent]
        return self._names.find(name, first, first + self._at["count"][parent])

    def row_of(self, inode: int) -> int | None:
        """The row with this inode."""
        by_inode, inodes = self._at["by_inode"], self._at["inode"]
        place = bisect_left(by_inode, inode, key=inodes.__getitem__)
        if place < self.rows and inodes[by_inode[place]] == inode:
            return int(by_inode[place])
        return None

    def row_of_version(self, id: bytes) -> int | None:
        """The row of the file version with this id (32 bytes); of several, the first."""
        by_version, versions = self._at["by_version"], self._at["version"]
        head = int.from_bytes(id[:8], "little")
        place = bisect_left(by_version, head, key=versions.__getitem__)
        while place < self.rows and versions[by_version[place]] == head:
            row = int(by_version[place])
            if not self.is_dir(row) and self.file(row).id == id:
                return row
            place += 1
        return None

    def skipped(self) -> list[tuple[str, str]]:
        """The keys that are shown as no file, at most `MAX_SKIPPED`, and why: sorted."""
        return decode_skipped(self._skipped)

    @property
    def skipped_by_reason(self) -> dict[str, int]:
        """Reason -> how many keys are shown as no file; all of them."""
        return dict(self._header.skipped)

    def path(self, row: int) -> str:
        """The path from the dataset's root, without a leading slash; the root's is empty."""
        if row == ROOT_ROW:
            return ""
        parent = self._at["parent"][row]
        known, above = self._above
        if known != parent:  # of a directory's files one after the other is asked for
            above = b"".join([part + b"/" for part in reversed(self._names_above(parent))])
            self._above = parent, above
        return (above + self.name(row)).decode("utf-8", "surrogateescape")

    def _names_above(self, row: int) -> list[bytes]:
        """Of a directory and all above it, but the root's."""
        names = []
        while row != ROOT_ROW:
            names.append(self.name(row))
            row = self._at["parent"][row]
        return names

    def resolve(self, path: str) -> int:
        """The row at `path`; slashes at the ends and doubled ones mean nothing.

        Raises:
            PathNotFound: there is no such entry.
            NotADirectory: a file stands where the path goes on.
        """
        row = ROOT_ROW
        for part in path.encode("utf-8", "surrogateescape").split(b"/"):
            if not part:
                continue
            if not self.is_dir(row):
                raise NotADirectory(f"{self.path(row)!r} is a file, not a directory")
            found = self.lookup(row, part)
            if found is None:
                raise PathNotFound(f"no {path!r} in the dataset")
            row = found
        return row

    def file(self, row: int) -> FileVersion:
        """The file version at a row.

        Raises:
            NotAFile: the row is a directory.
        """
        source_number = self._at["source"][row]
        if not source_number:
            raise NotAFile(f"{self.path(row) or '/'!r} is a directory")
        source = self._header.sources[source_number - 1]
        place = bisect_left(self._odd_row, row)
        if place < len(self._odd_row) and self._odd_row[place] == row:
            key = self._odd_keys[place].decode("utf-8", "surrogateescape")
        else:
            below = self.path(row)[len(source.mount.strip("/")) :].lstrip("/")
            key = source.prefix + below
        tag = self._tags[row].decode()
        return FileVersion(source.origin, key, tag, self._at["size"][row])

    def source_of(self, row: int) -> Source | None:
        """Where a file comes from; None for a directory."""
        number = self._at["source"][row]
        return self._header.sources[number - 1] if number else None

    def walk(self, row: int = ROOT_ROW) -> Iterator[int]:
        """The rows of all files at and below `row`, breadth-first."""
        for level in self.levels(row):
            yield from level.tolist()

    def levels(self, row: int = ROOT_ROW) -> Iterator[npt.NDArray[np.int64]]:
        """The same as arrays, one for each level of the tree.

        The rows of one level stand together, so each level is one range.
        """
        start, stop = row, row + 1
        while start < stop:
            yield start + np.flatnonzero(self.source[start:stop])
            parents = start + np.flatnonzero(self.count[start:stop])
            if not len(parents):
                return
            start, stop = int(self.first[parents[0]]), self.children(int(parents[-1])).stop

    def block_starts(self, block_size: int) -> npt.NDArray[np.int64]:
        """For each row the number of blocks before it, and at the end of all: shape (rows + 1,).

        So block `i` of the file at `row` has the ordinal ``starts[row] + i``, the same on every
        member, by which members compare what they hold.
        """
        counts = (self.size.astype(np.int64) + block_size - 1) // block_size
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
