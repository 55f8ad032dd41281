"""Which files of a snapshot a load is about. Pure; a large snapshot takes seconds: use a thread."""

import re
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from meshcache.agent.loads.globs import ANY_DEPTH, Exclusion, compile_part, is_glob, parts_of
from meshcache.agent.loads.spec import NewLoad, Target
from meshcache.errors import NotADirectory, PathNotFound
from meshcache.snapshot import ROOT_ROW, Snapshot

Rows = npt.NDArray[np.int64]
Part = re.Pattern[str] | str


class Selection(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What a load names, as its record or its list carries it."""

    targets: tuple[Target, ...] = ()
    """Files, directories and globs, with their replicas."""
    exclude: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Exact paths."""

    @classmethod
    def of(cls, new: NewLoad) -> "Selection":
        """What a new load names: everything, if nothing.

        Raises:
            InvalidInput: a pattern cannot be read.
        """
        targets = (*(Target(path) for path in new.paths), *new.targets)
        if not targets and new.files is None:
            targets = (Target("/"),)
        selection = cls(targets, new.exclude, new.files or ())
        selection.check()
        return selection

    def check(self) -> None:
        """See that every pattern can be read.

        Raises:
            InvalidInput: one cannot.
        """
        for target in self.targets:
            _parse(target.path)
        for text in self.exclude:
            Exclusion.parse(text)
        for path in self.files:
            parts_of(path)


class Selected(msgspec.Struct, frozen=True, eq=False):
    """The files that a selection has in one snapshot."""

    rows: Rows
    """Ascending: the snapshot's order, which is breadth-first by name."""
    replicas: npt.NDArray[np.uint8]
    """For each row how many owners fetch it; 0: as many as the load says."""
    size: int
    """Bytes of all files."""


def select(snapshot: Snapshot, selection: Selection) -> Selected:
    """The files that are selected.

    Raises:
        PathNotFound: a path or pattern names nothing, or nothing is left.
        InvalidInput: a pattern cannot be read.
    """
    chosen = np.zeros(snapshot.rows, dtype=np.bool_)
    replicas = np.zeros(snapshot.rows, dtype=np.uint8)
    for target in selection.targets:
        for top in _found(snapshot, target.path):
            for level in snapshot.levels(top):
                chosen[level] = True
                replicas[level] = np.maximum(replicas[level], target.replicas)
    missing = []
    for path in selection.files:
        try:
            top = snapshot.resolve("/".join(parts_of(path)))
        except (PathNotFound, NotADirectory):
            missing.append(path)
            continue
        for level in snapshot.levels(top):
            chosen[level] = True
    if missing:
        more = f" and {len(missing) - 1} more of the list" if len(missing) > 1 else ""
        raise PathNotFound(f"no {missing[0]!r}{more} in the dataset")
    rows = np.flatnonzero(chosen).astype(np.int64)
    if selection.exclude and rows.size:
        rows = _without(snapshot, rows, [Exclusion.parse(text) for text in selection.exclude])
        if not rows.size:
            raise PathNotFound("nothing is left to load: all that was named is excluded")
    return Selected(rows, replicas[rows], int(snapshot.size[rows].sum()))


def _parse(pattern: str) -> list[Part]:
    parts: list[Part] = []
    for text in parts_of(pattern):
        if text == ANY_DEPTH:
            if not parts or parts[-1] != ANY_DEPTH:
                parts.append(ANY_DEPTH)
        else:
            parts.append(compile_part(text))
    return parts


def _found(snapshot: Snapshot, path: str) -> list[int]:
    """The rows that a path or pattern names itself."""
    try:
        return [snapshot.resolve("/".join(parts_of(path)))]  # a name may have brackets in it
    except (PathNotFound, NotADirectory):
        if not is_glob(path):
            raise
    found = sorted(set(_matches(snapshot, _parse(path))))
    if not found:
        raise PathNotFound(f"nothing in the dataset matches {path!r}")
    return found


def _matches(snapshot: Snapshot, parts: Sequence[Part]) -> Iterator[int]:
    # A stack of what to look at: (row, how many parts its path has used up).
    stack = [(ROOT_ROW, 0)]
    while stack:
        row, used = stack.pop()
        if used == len(parts):
            yield row
            continue
        part = parts[used]
        if part == ANY_DEPTH:
            if snapshot.is_dir(row):
                stack.append((row, used + 1))
            if used + 1 < len(parts):  # as the last part it is all that lies below
                stack += ((c, used) for c in snapshot.children(row) if snapshot.is_dir(c))
        elif isinstance(part, str):
            child = snapshot.lookup(row, part.encode("utf-8", "surrogateescape"))
            if child is not None:
                stack.append((child, used + 1))
        else:
            stack += (
                (child, used + 1)
                for child in snapshot.children(row)
                if part.fullmatch(_name(snapshot, child))
            )


def _name(snapshot: Snapshot, row: int) -> str:
    return snapshot.name(row).decode("utf-8", "surrogateescape")


def _without(snapshot: Snapshot, rows: Rows, exclusions: Sequence[Exclusion]) -> Rows:
    """The rows that no exclusion names, nor any directory above them."""
    paths: dict[int, str | None] = {ROOT_ROW: ""}
    """Directory -> its path with a slash behind it; None: it is left out."""

    def path_of(directory: int) -> str | None:
        climbed = []
        while directory not in paths:
            climbed.append(directory)
            directory = int(snapshot.parent[directory])
        above = paths[directory]
        for below in reversed(climbed):
            name = _name(snapshot, below)
            if above is not None:
                path = above + name
                left_out = any(one.matches(path, name, is_dir=True) for one in exclusions)
                above = None if left_out else path + "/"
            paths[below] = above
        return above

    def stays(row: int) -> bool:
        above = path_of(int(snapshot.parent[row]))
        if above is None:
            return False
        name = _name(snapshot, row)
        return not any(one.matches(above + name, name, is_dir=False) for one in exclusions)

    return rows[np.fromiter((stays(int(row)) for row in rows), np.bool_, len(rows))]
