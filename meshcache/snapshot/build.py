"""Making a snapshot from what the origins list."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from blake3 import blake3

from meshcache.block import FileVersion
from meshcache.origin.base import Listed
from meshcache.snapshot.keys import why_no_path
from meshcache.snapshot.layout import ROW_COLUMNS, SKIPPED, Source, encode, encode_skipped
from meshcache.snapshot.table import ROOT_INODE

_MASK = (1 << 63) - 1
_INODE_CONTEXT = "meshcache 2026 inode"


MAX_SKIPPED = 10_000
"""Skipped keys that a snapshot names, the first by order; beyond that they are only counted."""


@dataclass
class Skipped:
    """The keys that are shown as no file, by reason."""

    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    _keys: list[tuple[str, str]] = field(default_factory=list)

    def add(self, key: str, reason: str) -> None:
        self.count += 1
        self.reasons[reason] += 1
        self._keys.append((key, reason))
        if len(self._keys) >= 2 * MAX_SKIPPED:
            self._trim()

    def keys(self) -> list[tuple[str, str]]:
        """(key, reason), sorted; the same in whatever order they came."""
        self._trim()
        return self._keys

    def _trim(self) -> None:
        self._keys.sort()
        del self._keys[MAX_SKIPPED:]


@dataclass(frozen=True, slots=True)
class _File:
    listed: Listed
    source: int


_Tree = dict[bytes, "_Tree | _File"]


class Builder:
    """Collects listings, mount by mount, and lays them out.

    A directory hides an object of the same name (``a`` beside ``a/b``), and a mount hides what
    a mount above it has at its place, as mounts do.
    """

    def __init__(self, mounts: Iterable[tuple[str, str]]) -> None:
        """Begin with the dataset's mounts: (mount path, origin identity) each."""
        self._sources = [(path, identity) for path, identity in mounts]
        self._below = [path.strip("/").encode() for path, _ in self._sources]
        self._more_sources: dict[tuple[int, str, str], int] = {}
        self._tree: _Tree = {}
        self.skipped = Skipped()
        for below in self._below:
            self._directory(below)

    def add(self, mount: int, listed: Listed) -> None:
        """Take one object of the mount with that index."""
        relative = listed.path.encode("utf-8", "surrogateescape")
        reason = why_no_path(relative)
        if reason is None:
            path = b"/".join(filter(None, (self._below[mount], relative)))
            reason = why_no_path(path) or self._place(mount, path, listed)
        if reason is not None:
            self.skipped.add(listed.key, reason)

    def _place(self, mount: int, path: bytes, listed: Listed) -> str | None:
        deeper = (
            below
            for below in self._below
            if len(below) > len(self._below[mount]) and (path + b"/").startswith(below + b"/")
        )
        if any(deeper):
            return "hidden by another mount"
        directory, _, name = path.rpartition(b"/")
        parent = self._directory(directory)
        there = parent.get(name)
        if isinstance(there, dict):
            return "hidden by a directory of the same name"
        if there is not None:
            return "two objects at one path"
        parent[name] = _File(listed, self._source(mount, listed))
        return None

    def _source(self, mount: int, listed: Listed) -> int:
        """The index of the file's source: its mount's, or one more for what another origin has."""
        if not listed.origin:
            return mount
        known = (mount, listed.origin, listed.at)
        if known not in self._more_sources:
            path = "/".join(("", *filter(None, (self._below[mount].decode(), listed.at))))
            self._more_sources[known] = len(self._sources)
            self._sources.append((path or "/", listed.origin))
        return self._more_sources[known]

    def _directory(self, path: bytes) -> _Tree:
        tree = self._tree
        for part in filter(None, path.split(b"/")):
            there = tree.get(part)
            if isinstance(there, _File):
                self.skipped.add(there.listed.key, "hidden by a directory of the same name")
                there = None
            if there is None:
                there = tree[part] = {}
            tree = there
        return tree

    def build(self) -> bytes:
        """The snapshot's bytes; the same for the same listing, in whatever order it came."""
        return _Layout(self._sources, self._tree, self.skipped.keys()).encoded()


class _Layout:
    def __init__(
        self, sources: list[tuple[str, str]], tree: _Tree, skipped: list[tuple[str, str]]
    ) -> None:
        self._sources = sources
        self._tree = tree
        self._skipped = skipped
        self._inodes: set[int] = {0, ROOT_INODE}
        self._prefixes: dict[int, str] = {}
        self._odd_keys: dict[int, str] = {}

    def encoded(self) -> bytes:
        columns: dict[str, array[int]] = {
            name: array({"2": "H", "4": "I", "8": "Q"}[kind[-1]] if kind[1] == "u" else "q")
            for name, kind in ROW_COLUMNS.items()
            if name != "by_inode"
        }
        names, tags = bytearray(), bytearray()
        name_ends, tag_ends = array("I"), array("I")
        files = size = 0
        next_child = 1
        for row, (parent, path, node) in enumerate(self._breadth_first()):
            if isinstance(node, _File):
                listed = node.listed
                files += 1
                size += listed.size
                self._note_key(row, path, node)
                tags += listed.tag.encode()
                values = (0, 0, listed.size, listed.mtime_ns, node.source + 1)
            else:
                values = (next_child if node else 0, len(node), 0, 0, 0)
                next_child += len(node)
            inode = self._inode(path, node) if row else ROOT_INODE
            for name, value in zip(columns, (inode, parent, *values), strict=True):
                columns[name].append(value)
            names += path.rpartition(b"/")[2]
            name_ends.append(len(names))
            tag_ends.append(len(tags))
        inodes = np.frombuffer(columns["inode"], dtype="<u8")
        laid_out = {name: column.tobytes() for name, column in columns.items()}
        laid_out["by_inode"] = np.argsort(inodes, kind="stable").astype("<u4").tobytes()
        laid_out |= {"name": bytes(names), "name_end": name_ends.tobytes()}
        laid_out |= {"tag": bytes(tags), "tag_end": tag_ends.tobytes()}
        if self._skipped:
            laid_out[SKIPPED] = encode_skipped(self._skipped)
        return encode(
            laid_out,
            rows=len(inodes),
            files=files,
            size=size,
            sources=tuple(
                Source(identity, path, self._prefixes.get(index, ""))
                for index, (path, identity) in enumerate(self._sources)
            ),
            odd_keys=self._odd_keys,
        )

    def _breadth_first(self) -> Iterator[tuple[int, bytes, _Tree | _File]]:
        """(parent's row, path, node) in the order of rows."""
        yield 0, b"", self._tree
        level: list[tuple[int, bytes, _Tree]] = [(0, b"", self._tree)]
        row = 0
        while level:
            below: list[tuple[int, bytes, _Tree]] = []
            for parent, path, tree in level:
                for name, node in sorted(tree.items()):
                    row += 1
                    child = path + b"/" + name if path else name
                    yield parent, child, node
                    if isinstance(node, dict):
                        below.append((row, child, node))
            level = below

    def _note_key(self, row: int, path: bytes, file: _File) -> None:
        """Keep a file's key, mostly by keeping nothing: it is its mount's prefix and its path."""
        mount = self._sources[file.source][0].strip("/").encode()
        below = path[len(mount) :].lstrip(b"/").decode("utf-8", "surrogateescape")
        key = file.listed.key
        prefix = self._prefixes.setdefault(file.source, key.removesuffix(below))
        if prefix + below != key:
            self._odd_keys[row] = key

    def _inode(self, path: bytes, node: _Tree | _File) -> int:
        """63 bits of blake3 over the path and, for a file, its version; unique in the snapshot.

        It never names two things, and an unchanged file keeps it from snapshot to snapshot.
        """
        digest = blake3(derive_key_context=_INODE_CONTEXT).update(path)
        if isinstance(node, _File):
            listed = node.listed
            identity = self._sources[node.source][1]
            version = FileVersion(identity, listed.key, listed.tag, listed.size)
            digest.update(b"\0").update(version.id)
        inode = int.from_bytes(digest.digest(8), "little") & _MASK
        while inode in self._inodes:
            digest.update(b"\0clash")
            inode = int.from_bytes(digest.digest(8), "little") & _MASK
        self._inodes.add(inode)
        return inode
