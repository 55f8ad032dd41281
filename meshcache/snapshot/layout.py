"""How a snapshot lies in bytes (docs/wire-format.md, "Snapshots").

A magic, a small msgpack header, then the columns, each aligned to 8 bytes, little-endian: a table
with one row for each file and directory. Rows stand breadth-first, and the children of a directory
stand together, sorted by name. So a directory needs only its first child and a count, a look-up
is a binary search, and a mapped file is ready to use: opening costs the same for ten files and
for ten million. The same listing gives the same bytes, so the bytes' hash can be its name.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from blake3 import blake3

from meshcache.errors import InvalidInput
from meshcache.snapshot.skipped import Skipped

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

MAGIC = b"MCSNAP02"
_ALIGN = 8

ROOT_INODE = 1

ROW_COLUMNS: dict[str, str] = {
    "inode": "<u8",
    "parent": "<u4",
    "first": "<u4",  # a directory's first child; 0 for a file
    "count": "<u4",  # a directory's children; 0 for a file
    "size": "<u8",
    "mtime": "<i8",  # nanoseconds since 1970
    "source": "<u2",  # 0: a directory; else 1 + the index of the file's source in the header
    "by_inode": "<u4",  # rows in the order of their inodes
    "version": "<u8",  # the first 8 bytes of the file version's id; 0 for a directory
    "by_version": "<u4",  # rows in the order of their versions
}
"""Column -> type, one element for each row."""

TEXT_COLUMNS = ("name", "tag")
"""Kept as `<column>` (the bytes of all rows) and `<column>_end` (u4: where each row's end)."""

ODD_COLUMNS = ("odd_row", "odd_key", "odd_key_end")
"""The rows (u4, ascending) of the files whose key is not prefix + path, and their keys."""

SKIPPED = "skipped"
"""The column of the keys that are shown as no file: msgpack, a list of [key, reason]."""


class Source(msgspec.Struct, frozen=True, array_like=True):
    """Where the files of one mount come from, or some of them."""

    origin: str
    """The origin's identity."""
    mount: str
    """The mount's path in the dataset: ``/`` or ``/images``."""
    prefix: str
    """A file's key is this, and then its path below the mount."""


class Header(msgspec.Struct, frozen=True):
    """What stands before the columns."""

    rows: int
    files: int
    bytes: int
    sources: tuple[Source, ...]
    columns: dict[str, tuple[int, int]]
    """Column -> (offset from the end of the header's padding, length), both in bytes."""
    skipped: dict[str, int] = {}
    """Reason -> keys that are shown as no file."""


def encode(
    columns: Mapping[str, "Buffer"],
    *,
    rows: int,
    files: int,
    size: int,
    sources: tuple[Source, ...],
    skipped: Skipped,
) -> bytes:
    """Lay the columns out behind their header."""
    columns = {**columns, SKIPPED: encode_skipped(skipped.keys())}
    places: dict[str, tuple[int, int]] = {}
    offset = 0
    for name, data in columns.items():
        size_of = memoryview(data).nbytes
        places[name] = (offset, size_of)
        offset += _padded(size_of)
    header = msgspec.msgpack.encode(
        Header(
            rows=rows,
            files=files,
            bytes=size,
            sources=sources,
            columns=places,
            skipped=dict(sorted(skipped.reasons.items())),
        )
    )
    parts: list[Buffer] = [MAGIC, len(header).to_bytes(8, "little")]
    for data in (header, *columns.values()):
        length = memoryview(data).nbytes
        parts += [data, bytes(_padded(length) - length)]
    return b"".join(parts)


def decode(data: memoryview) -> tuple[Header, dict[str, memoryview]]:
    """The header and a view of each column.

    Raises:
        InvalidInput: the bytes are no snapshot, or one that was cut off.
    """
    if bytes(data[:8]) != MAGIC:
        raise InvalidInput("not a snapshot, or one of a version that this program does not read")
    header_size = int.from_bytes(data[8:16], "little")
    try:
        header = msgspec.msgpack.decode(data[16 : 16 + header_size], type=Header)
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise InvalidInput("the snapshot's header cannot be read") from error
    start = 16 + _padded(header_size)
    views = {}
    for name, (offset, length) in header.columns.items():
        view = data[start + offset : start + offset + length]
        if offset < 0 or length < 0 or len(view) != length:
            raise InvalidInput("the snapshot is cut off")
        views[name] = view
    _check(header, views)
    return header, views


def _check(header: Header, views: Mapping[str, memoryview]) -> None:
    ends = {f"{name}_end": "<u4" for name in TEXT_COLUMNS}
    for name, kind in (ROW_COLUMNS | ends).items():
        if name not in views or len(views[name]) != header.rows * np.dtype(kind).itemsize:
            raise InvalidInput(f"the snapshot's column {name!r} has not one element for each row")
    texts = (*TEXT_COLUMNS, *ODD_COLUMNS, SKIPPED)
    if header.rows < 1 or any(name not in views for name in texts):
        raise InvalidInput("the snapshot has no root, or lacks a column")
    rows, _, ends_of_keys = (len(views[name]) for name in ODD_COLUMNS)
    if rows % 4 or ends_of_keys != rows:
        raise InvalidInput("the snapshot has not one key for each row that names its own")


def encode_skipped(skipped: Sequence[tuple[str, str]]) -> bytes:
    """The column of skipped keys. A key that is no UTF-8 is spelled with backslashes."""
    return msgspec.msgpack.encode(
        [(key.encode("utf-8", "backslashreplace").decode(), reason) for key, reason in skipped]
    )


def decode_skipped(column: memoryview) -> list[tuple[str, str]]:
    """The keys and reasons of that column.

    Raises:
        InvalidInput: the column cannot be read.
    """
    try:
        return msgspec.msgpack.decode(column, type=list[tuple[str, str]])
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidInput("the snapshot's skipped keys cannot be read") from error


def snapshot_id(data: memoryview | bytes) -> str:
    """A snapshot's name: 64 hex digits of the blake3 of its bytes."""
    return blake3(data, max_threads=blake3.AUTO).hexdigest()


def _padded(length: int) -> int:
    return -(-length // _ALIGN) * _ALIGN
