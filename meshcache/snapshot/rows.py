"""Laying collected files out as a snapshot's rows."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from meshcache.block import version_id
from meshcache.snapshot.layout import ROOT_INODE, Source, encode
from meshcache.snapshot.skipped import Skipped

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

    from meshcache.snapshot.build import Directories, Files

INODE_MASK = (1 << 63) - 1
_INODE_CONTEXT = "meshcache 2026 inode"
_CLASH = b"\0clash"


class _Entry(NamedTuple):
    name: bytes
    number: int
    """The file's number; of a directory ``-1 - number``, so that it comes before its namesakes."""


class Layout:
    """The files of a listing, on their way to be a snapshot."""

    def __init__(
        self,
        sources: Sequence[tuple[str, str]],
        directories: "Directories",
        files: "Files",
        guessed: Sequence[bytes],
        skipped: Skipped,
    ) -> None:
        """Take what was collected.

        Args:
            sources: (mount path, origin identity) each.
            directories: those that files stand in.
            files: the files, which are used up.
            guessed: for each source the prefix that `files.odd_key` counts from.
            skipped: gets the files that others hide.
        """
        self._sources = sources
        self._origins = [identity.encode() for _, identity in sources]
        self._below = [path.strip("/").encode() for path, _ in sources]
        self._directories = directories
        self._files = files
        self._guessed = guessed
        self._skipped = skipped
        owner = np.frombuffer(files.directory, dtype=np.uint32)
        self._grouped = np.argsort(owner, kind="stable")
        self._group_ends = np.cumsum(np.bincount(owner, minlength=len(directories.paths)))
        self._below_directory: dict[int, list[int]] = {}
        for number, parent in enumerate(directories.parent[1:], 1):
            self._below_directory.setdefault(parent, []).append(number)
        # One element for each row.
        self._number = array("q", [-1])
        self._parent = array("I", [0])
        self._names = bytearray()
        self._name_ends = array("I", [0])

    def encoded(self) -> bytes:
        """The snapshot's bytes. To be called once."""
        first, count = self._order()
        number = np.frombuffer(self._number, dtype=np.int64)
        is_file = number >= 0
        chosen = np.where(is_file, number, 0)
        sizes = self._of_files(self._files.size, "<u8", chosen, is_file)
        sources = self._of_files(self._files.source, "<u2", chosen, is_file)
        prefixes, odd_keys = self._keys(number)
        inodes, versions = self._hash(number, prefixes, odd_keys)
        columns: dict[str, Buffer] = {
            "inode": inodes.data,
            "parent": self._parent,
            "first": first.data,
            "count": count.data,
            "size": sizes.data,
            "mtime": self._of_files(self._files.mtime, "<i8", chosen, is_file).data,
            "source": (sources + is_file).astype("<u2").data,
            "by_inode": np.argsort(inodes, kind="stable").astype("<u4").data,
            "version": versions.data,
            "by_version": np.argsort(versions, kind="stable").astype("<u4").data,
            "name": self._names,
            "name_end": self._name_ends,
        }
        columns |= self._tags() | _odd(odd_keys)
        del self._files, self._directories  # before the bytes are there twice
        return encode(
            columns,
            rows=len(number),
            files=int(np.count_nonzero(is_file)),
            size=int(sizes.sum()),
            sources=tuple(
                Source(identity, path, prefix)
                for (path, identity), prefix in zip(self._sources, prefixes, strict=True)
            ),
            skipped=self._skipped,
        )

    # --- the order of rows ----------------------------------------------------------------------

    def _order(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Fill the rows; gives each one's first child and number of children."""
        directories = [(0, 0)]
        """(row, number), breadth-first; grows while it is walked."""
        firsts, counts = array("I"), array("I")
        for row, directory in directories:
            first = len(self._number)
            for entry in self._shown(directory):
                if entry.number < 0:
                    directories.append((len(self._number), -1 - entry.number))
                self._number.append(entry.number)
                self._names += entry.name
                self._name_ends.append(len(self._names))
            count = len(self._number) - first
            self._parent.extend(array("I", [row]) * count)
            firsts.append(first if count else 0)
            counts.append(count)
        rows = [row for row, _ in directories]
        first_child = np.zeros(len(self._number), dtype="<u4")
        children = np.zeros(len(self._number), dtype="<u4")
        first_child[rows], children[rows] = firsts, counts
        return first_child, children

    def _shown(self, directory: int) -> "Iterator[_Entry] | list[_Entry]":
        """A directory's entries by name, without those that another one hides."""
        end = int(self._group_ends[directory])
        start = int(self._group_ends[directory - 1]) if directory else 0
        name = self._files.name
        entries = [_Entry(name[number], number) for number in self._grouped[start:end].tolist()]
        paths = self._directories.paths
        entries += [
            _Entry(paths[below].rpartition(b"/")[2], -1 - below)
            for below in self._below_directory.get(directory, ())
        ]
        entries.sort()  # of a listing that came in order this is one pass
        if any(entries[i].name == entries[i + 1].name for i in range(len(entries) - 1)):
            return self._without_hidden(directory, entries)
        return entries

    def _without_hidden(self, directory: int, entries: list[_Entry]) -> Iterator[_Entry]:
        names: dict[bytes, list[_Entry]] = {}
        for entry in entries:
            names.setdefault(entry.name, []).append(entry)
        for namesakes in names.values():
            shown = namesakes[0]
            # Of an object that was listed twice the later listing counts.
            keys = {self._key_as_listed(directory, e): e for e in namesakes if e.number >= 0}
            reason = "hidden by a directory of the same name"
            if shown.number >= 0:
                shown = keys.pop(min(keys))
                reason = "two objects at one path"
            for key in keys:
                self._skipped.add(key.decode("utf-8", "surrogateescape"), reason)
            yield shown

    def _key_as_listed(self, directory: int, entry: _Entry) -> bytes:
        odd = self._files.odd_key.get(entry.number)
        if odd is not None:
            return odd
        source = self._files.source[entry.number]
        folder = self._folder(directory, source)
        return self._guessed[source] + folder + entry.name

    def _folder(self, directory: int, source: int) -> bytes:
        """A directory's path below a source, with a slash behind it unless it is the source's."""
        path = self._directories.paths[directory]
        below = path[len(self._below[source]) :].lstrip(b"/")
        return below + b"/" if below else b""

    # --- keys, inodes, versions -----------------------------------------------------------------

    def _keys(self, number: npt.NDArray[np.int64]) -> tuple[list[str], dict[int, bytes]]:
        """Each source's prefix, and row -> key for the files that it does not fit.

        The prefix that fits most files: which file came first must not show.
        """
        files, odd = self._files, self._files.odd_key
        odd_rows = {}
        if odd:
            row_of = np.full(len(files), -1, dtype=np.int64)
            shown = np.flatnonzero(number >= 0)
            row_of[number[shown]] = shown
            odd_rows = {int(row_of[file]): key for file, key in odd.items() if row_of[file] >= 0}
        prefixes = list(self._guessed)
        for source in range(len(self._sources)):
            fits = int(np.count_nonzero(np.frombuffer(files.source, dtype=np.uint16) == source))
            counted: Counter[bytes] = Counter()
            for row, key in odd_rows.items():
                if files.source[number[row]] == source:
                    below = self._below_source(row, number)
                    if key.endswith(below):
                        counted[key.removesuffix(below)] += 1
                    fits -= 1
            counted[prefixes[source]] += fits
            best = min(counted, key=lambda prefix: (-counted[prefix], prefix))
            if best != prefixes[source]:
                odd_rows = self._counted_from(source, best, prefixes[source], odd_rows, number)
                prefixes[source] = best
        text = [prefix.decode("utf-8", "surrogateescape") for prefix in prefixes]
        return text, odd_rows

    def _counted_from(
        self,
        source: int,
        prefix: bytes,
        old: bytes,
        odd_rows: dict[int, bytes],
        number: npt.NDArray[np.int64],
    ) -> dict[int, bytes]:
        """The odd keys when `source` has another prefix."""
        changed = {}
        for row, file in enumerate(number.tolist()):
            if file < 0 or self._files.source[file] != source:
                if row in odd_rows:
                    changed[row] = odd_rows[row]
                continue
            below = self._below_source(row, number)
            key = odd_rows.get(row, old + below)
            if key != prefix + below:
                changed[row] = key
        return changed

    def _below_source(self, row: int, number: npt.NDArray[np.int64]) -> bytes:
        file = int(number[row])
        folder = self._folder(self._files.directory[file], self._files.source[file])
        return folder + self._files.name[file]

    def _hash(
        self, number: npt.NDArray[np.int64], prefixes: list[str], odd_keys: dict[int, bytes]
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Each row's inode, and the first 8 bytes of each file's version id."""
        inodes, versions = bytearray(), bytearray()
        for path, version in self._named(prefixes, odd_keys):
            inodes += blake3(path + version, derive_key_context=_INODE_CONTEXT).digest(8)
            versions += version[1:9] or bytes(8)
        unique = np.frombuffer(inodes, dtype="<u8") & np.uint64(INODE_MASK)
        unique[0] = ROOT_INODE
        clashing = _clashing(unique)
        if clashing:
            taken = {0, *unique.tolist()}
            for row, (path, version) in enumerate(self._named(prefixes, odd_keys)):
                data = path + version
                while row in clashing and int(unique[row]) in taken:
                    data += _CLASH
                    digest = blake3(data, derive_key_context=_INODE_CONTEXT).digest(8)
                    unique[row] = int.from_bytes(digest, "little") & INODE_MASK
                taken.add(int(unique[row]))
        return unique, np.frombuffer(versions, dtype="<u8")

    def _named(
        self, prefixes: list[str], odd_keys: dict[int, bytes]
    ) -> Iterator[tuple[bytes, bytes]]:
        """(path, a NUL and the file's version id, or nothing for a directory) of each row."""
        files, paths = self._files, self._directories.paths
        leads = [prefix.encode("utf-8", "surrogateescape") for prefix in prefixes]
        name, tag, size, source_of = files.name, files.tag, files.size, files.source
        last = (-1, -1)
        lead = folder = b""
        for row, number in enumerate(self._number):
            if number < 0:
                yield paths[-1 - number], b""
                continue
            source = source_of[number]
            directory = files.directory[number]
            if (directory, source) != last:
                last = (directory, source)
                folder = paths[directory] + b"/" if directory else b""
                lead = leads[source] + self._folder(directory, source)
            own = name[number]
            key = (odd_keys.get(row) if odd_keys else None) or lead + own
            version = version_id(self._origins[source], key, tag[number], size[number])
            yield folder + own, b"\0" + version

    # --- columns --------------------------------------------------------------------------------

    def _of_files(
        self,
        column: "array[int]",
        kind: str,
        chosen: npt.NDArray[np.int64],
        is_file: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.generic]:
        """A column of the files in the order of rows, with 0 for directories."""
        if not len(column):
            return np.zeros(len(chosen), dtype=kind)
        values: npt.NDArray[np.generic] = np.frombuffer(column, dtype=kind)[chosen]
        values[~is_file] = 0
        return values

    def _tags(self) -> dict[str, "Buffer"]:
        tags, ends = bytearray(), array("I")
        tag = self._files.tag
        for number in self._number:
            if number >= 0:
                tags += tag[number]
            ends.append(len(tags))
        return {"tag": tags, "tag_end": ends}


def _clashing(inodes: npt.NDArray[np.uint64]) -> set[int]:
    """The rows whose number is no inode, or an earlier row's."""
    order = np.argsort(inodes, kind="stable")
    again = order[1:][inodes[order[1:]] == inodes[order[:-1]]]
    wrong = np.flatnonzero(inodes <= ROOT_INODE)
    return {*again.tolist(), *wrong.tolist()} - {0}


def _odd(odd_keys: dict[int, bytes]) -> dict[str, "Buffer"]:
    rows = sorted(odd_keys)
    keys = [odd_keys[row] for row in rows]
    ends = np.cumsum([len(key) for key in keys], dtype="<u4")
    return {
        "odd_row": np.array(rows, dtype="<u4").data,
        "odd_key": b"".join(keys),
        "odd_key_end": ends.data,
    }
