"""Collecting what the origins list, in columns: a million files are a few arrays, not objects."""

from array import array
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from meshcache.origin.base import Listed
from meshcache.snapshot.keys import MAX_NAME, MAX_PATH, why_no_path
from meshcache.snapshot.rows import Layout
from meshcache.snapshot.skipped import Skipped


class Texts:
    """Byte strings, one after the other in one buffer."""

    __slots__ = ("data", "ends")

    def __init__(self) -> None:
        self.data = bytearray()
        self.ends = array("Q")

    def append(self, text: bytes) -> None:
        self.data += text
        self.ends.append(len(self.data))

    def __getitem__(self, index: int) -> bytes:
        return bytes(self.data[self.ends[index - 1] if index else 0 : self.ends[index]])


class Directories:
    """The directories that files stand in, numbered as they came; the root is 0."""

    def __init__(self) -> None:
        self.paths: list[bytes] = [b""]
        self.parent = array("I", [0])
        self._numbers: dict[bytes, int] = {b"": 0}

    def get(self, path: bytes) -> int | None:
        return self._numbers.get(path)

    def add(self, path: bytes) -> int:
        """The number of a directory, made with all above it if it is new."""
        number = self._numbers.get(path)
        if number is None:
            parent = self.add(path.rpartition(b"/")[0])
            number = self._numbers[path] = len(self.paths)
            self.paths.append(path)
            self.parent.append(parent)
        return number


class Files:
    """The files in the order they came, one element of each column for each."""

    def __init__(self) -> None:
        self.directory = array("I")
        self.name = Texts()
        self.source = array("H")
        """The index of its source: of its mount, or of one more, for what another origin has."""
        self.size = array("Q")
        self.mtime = array("q")
        self.tag = Texts()
        self.odd_key: dict[int, bytes] = {}
        """File -> key, where that is not the source's prefix and the path below the source."""

    def __len__(self) -> int:
        return len(self.directory)


class Builder:
    """Collects listings, mount by mount, in any order, and lays them out.

    A directory hides an object of the same name (``a`` beside ``a/b``), a mount hides what a mount
    above it has at its place, as mounts do, and of two objects at one path the lesser key is shown.
    """

    def __init__(self, mounts: Iterable[tuple[str, str]]) -> None:
        """Begin with the dataset's mounts: (mount path, origin identity) each."""
        self._sources = [(path, identity) for path, identity in mounts]
        self._below = [path.strip("/").encode() for path, _ in self._sources]
        self._more_sources: dict[tuple[int, str, str], int] = {}
        self._deeper = [
            [other for other in self._below if len(other) > len(below)] for below in self._below
        ]
        self._prefixes: list[str | None] = [None] * len(self._sources)
        self._directories = Directories()
        self._files = Files()
        self.skipped = Skipped()
        """Complete once `build` was called."""
        for below in self._below:
            self._directories.add(below)

    def add(self, mount: int, listed: Listed) -> None:
        """Take one object of the mount with that index."""
        relative = listed.path.encode("utf-8", "surrogateescape")
        above = self._below[mount]
        path = b"%b/%b" % (above, relative) if above else relative
        folder, _, name = path.rpartition(b"/")
        directory = self._directories.get(folder)
        # A directory that is known is a good one, so most paths need no closer look.
        if directory is None or self._deeper[mount] or _is_odd(path, name):
            reason = why_no_path(relative) or why_no_path(path) or self._hidden(mount, path)
            if reason is not None:
                self.skipped.add(listed.key, reason)
                return
            directory = self._directories.add(folder)
        source, below = mount, listed.path
        if listed.origin:
            source = self._source(mount, listed)
            below = below[len(listed.at) :].lstrip("/")
        files = self._files
        prefix = self._prefixes[source]
        if prefix is None:
            prefix = self._prefixes[source] = listed.key.removesuffix(below)
        if listed.key != prefix + below:
            files.odd_key[len(files)] = listed.key.encode("utf-8", "surrogateescape")
        files.directory.append(directory)
        files.name.append(name)
        files.source.append(source)
        files.size.append(listed.size)
        files.mtime.append(listed.mtime_ns)
        files.tag.append(listed.tag.encode())

    def _source(self, mount: int, listed: Listed) -> int:
        known = (mount, listed.origin, listed.at)
        if known not in self._more_sources:
            path = "/".join(("", *filter(None, (self._below[mount].decode(), listed.at))))
            self._more_sources[known] = len(self._sources)
            self._sources.append((path or "/", listed.origin))
            self._prefixes.append(None)
        return self._more_sources[known]

    def _hidden(self, mount: int, path: bytes) -> str | None:
        below = path + b"/"
        if any(below.startswith(deeper + b"/") for deeper in self._deeper[mount]):
            return "hidden by another mount"
        return None

    def build(self) -> bytes:
        """The snapshot's bytes; the same for the same listing, in whatever order it came.

        What was collected is used up.
        """
        prefixes = [(prefix or "").encode("utf-8", "surrogateescape") for prefix in self._prefixes]
        order = self._order_sources()
        self._files.source = array("H", order[self._files.source].tobytes())
        first = np.argsort(order)
        layout = Layout(
            [self._sources[index] for index in first],
            self._directories,
            self._files,
            [prefixes[index] for index in first],
            self.skipped,
        )
        self._files = Files()
        return layout.encoded()

    def _order_sources(self) -> npt.NDArray[np.uint16]:
        """Each source's place: the mounts' first, then the others, whichever came first."""
        mounts = len(self._below)
        others = sorted(range(mounts, len(self._sources)), key=self._sources.__getitem__)
        order = np.arange(len(self._sources), dtype="<u2")
        order[others] = range(mounts, len(self._sources))
        return order


def _is_odd(path: bytes, name: bytes) -> bool:
    """Whether a path in a good directory may still be none."""
    return (
        not 0 < len(name) <= MAX_NAME
        or len(path) > MAX_PATH
        or path[0] == 0x2F
        or name in (b".", b"..")
        or b"\0" in name
    )
