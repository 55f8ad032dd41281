"""Reading a snapshot where it lies: every answer is a look into the mapped columns."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from meshcache.block import FileVersion
from meshcache.errors import NotADirectory, NotAFile, PathNotFound
from meshcache.snapshot.layout import (
    ROW_COLUMNS,
    SKIPPED,
    TEXT_COLUMNS,
    Source,
    decode,
    decode_skipped,
    snapshot_id,
)

__all__ = ["ROOT_INODE", "ROOT_ROW", "Entry", "Snapshot", "snapshot_id"]

ROOT_ROW = 0
ROOT_INODE = 1


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
        self._skipped = columns.get(SKIPPED)
        self.rows = self._header.rows
        self.files = self._header.files
        self.bytes = self._header.bytes
        arrays: dict[str, npt.NDArray[Any]] = {
            name: np.frombuffer(columns[name], dtype=kind) for name, kind in ROW_COLUMNS.items()
        }
        self.inode = arrays["inode"]
        self.parent = arrays["parent"]
        self.first = arrays["first"]
        self.count = arrays["count"]
        self.size = arrays["size"]
        self.mtime = arrays["mtime"]
        self.source = arrays["source"]
        self._by_inode = arrays["by_inode"]
        self._sorted_inodes: npt.NDArray[Any] | None = None
        self._text = {
            name: (columns[name], np.frombuffer(columns[f"{name}_end"], dtype="<u4"))
            for name in TEXT_COLUMNS
        }

    def _text_of(self, column: str, row: int) -> bytes:
        data, ends = self._text[column]
        start = int(ends[row - 1]) if row else 0
        return bytes(data[start : int(ends[row])])

    def name(self, row: int) -> bytes:
        """The last part of the row's path; the root's is empty."""
        return self._text_of("name", row)

    def is_dir(self, row: int) -> bool:
        return not self.source[row]

    def entry(self, row: int) -> Entry:
        return Entry(
            row=row,
            inode=int(self.inode[row]),
            parent=int(self.parent[row]),
            name=self.name(row),
            is_dir=self.is_dir(row),
            size=int(self.size[row]),
            mtime_ns=int(self.mtime[row]),
        )

    def children(self, row: int) -> range:
        """The rows of a directory's entries, sorted by name; empty for a file."""
        first = int(self.first[row])
        return range(first, first + int(self.count[row]))

    def lookup(self, parent: int, name: bytes) -> int | None:
        """The row of the entry called `name` in the directory at row `parent`."""
        rows = self.children(parent)
        low, high = rows.start, rows.stop
        while low < high:
            middle = (low + high) // 2
            if self.name(middle) < name:
                low = middle + 1
            else:
                high = middle
        return low if low < rows.stop and self.name(low) == name else None

    def row_of(self, inode: int) -> int | None:
        """The row with this inode."""
        if not 0 < inode < 1 << 63:
            return None
        if self._sorted_inodes is None:
            # 8 bytes a row. With `sorter=` numpy would convert all of by_inode at each call.
            self._sorted_inodes = self.inode[self._by_inode]
        place = int(np.searchsorted(self._sorted_inodes, np.uint64(inode)))
        if place == self.rows or int(self._sorted_inodes[place]) != inode:
            return None
        return int(self._by_inode[place])

    def path(self, row: int) -> str:
        """The path from the dataset's root, without a leading slash; the root's is empty."""
        parts = []
        while row != ROOT_ROW:
            parts.append(self.name(row))
            row = int(self.parent[row])
        return b"/".join(reversed(parts)).decode("utf-8", "surrogateescape")

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
        source_number = int(self.source[row])
        if not source_number:
            raise NotAFile(f"{self.path(row) or '/'!r} is a directory")
        source = self._header.sources[source_number - 1]
        key = self._header.odd_keys.get(row)
        if key is None:
            below = self.path(row)[len(source.mount.strip("/")) :].lstrip("/")
            key = source.prefix + below
        tag = self._text_of("tag", row).decode()
        return FileVersion(source.origin, key, tag, int(self.size[row]))

    def source_of(self, row: int) -> Source | None:
        """Where a file comes from; None for a directory."""
        number = int(self.source[row])
        return self._header.sources[number - 1] if number else None

    def skipped(self) -> list[tuple[str, str]]:
        """The keys that are shown as no file, at most `MAX_SKIPPED`, and why: sorted."""
        return decode_skipped(self._skipped) if self._skipped is not None else []

    def walk(self, row: int = ROOT_ROW) -> Iterator[int]:
        """The rows of all files at and below `row`, breadth-first.

        The rows of one level stand together, so each level is one range.
        """
        level = range(row, row + 1)
        while level:
            yield from (r for r in level if not self.is_dir(r))
            firsts = [r for r in level if self.count[r]]
            if not firsts:
                return
            level = range(self.children(firsts[0]).start, self.children(firsts[-1]).stop)

    def block_starts(self, block_size: int) -> npt.NDArray[np.int64]:
        """For each row the number of blocks before it, and at the end of all: shape (rows + 1,).

        So block `i` of the file at `row` has the ordinal ``starts[row] + i``, the same on every
        member, by which members compare what they hold.
        """
        counts = (self.size.astype(np.int64) + block_size - 1) // block_size
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
