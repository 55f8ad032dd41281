"""The records that every member knows: datasets and their heads.

Both are replicated by gossip, so they are small, and hold references to secrets, never secrets.
"""

import re

import msgspec

from meshcache.block import DEFAULT_BLOCK_SIZE, check_block_size
from meshcache.errors import InvalidInput

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")

MAX_RECORD = 4096
"""Bytes a record may take on the wire: what the replicated map allows for one entry."""


class Mount(msgspec.Struct, frozen=True):
    """One origin of a dataset, and where in the dataset's tree it stands."""

    url: str
    """``s3://bucket/prefix``, ``oss://...``, ``https://host/path`` or ``file:///directory``."""
    path: str = "/"
    """The directory of the dataset that shows it: absolute, ``/`` for the dataset's root."""


class Dataset(msgspec.Struct, frozen=True):
    """A name for data in remote storage, with all it takes to read it.

    Raises:
        InvalidInput: on making one whose name, mounts or block size cannot be.
    """

    name: str
    """A DNS label or several with dots, at most 63 characters: it becomes a PVC's name."""
    mounts: tuple[Mount, ...]
    uid: str = ""
    """Random, given at creation: a dataset that is deleted and made again is another one."""
    options: dict[str, str] = {}
    """Options for the origins: endpoint, region, addressing, anonymous, ..."""
    secret_options: dict[str, str] = {}
    """Option -> reference (``file:PATH`` or ``env:NAME``), resolved on each node that reads."""
    block_size: int = DEFAULT_BLOCK_SIZE
    """Bytes."""
    replicas: int = 1
    """How many members own each block."""
    created: float = 0.0
    """Seconds since 1970."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInput(
                f"{self.name!r} is not a dataset name: use a-z, 0-9, '-' and '.', at most 63"
            )
        if not self.mounts:
            raise InvalidInput(f"dataset {self.name!r} has no origin: give at least one URL")
        paths = [mount.path for mount in self.mounts]
        if len(set(paths)) != len(paths):
            raise InvalidInput(f"dataset {self.name!r} has two mounts at one path")
        for path in paths:
            if not path.startswith("/") or "//" in path or {".", ".."} & set(path.split("/")):
                raise InvalidInput(f"{path!r} is not a mount path: write it like /images/train")
        if not 1 <= self.replicas <= 16:
            raise InvalidInput(f"a dataset has 1 to 16 replicas, not {self.replicas}")
        check_block_size(self.block_size)


class Head(msgspec.Struct, frozen=True):
    """The snapshot that a dataset shows now."""

    dataset_uid: str
    snapshot: str
    """The snapshot's id: hex of the blake3 of its bytes."""
    snapshot_size: int
    """Bytes of the snapshot itself."""
    files: int
    bytes: int
    """Bytes of all files: what `dataset list` shows as UFS TOTAL SIZE."""
    skipped: int = 0
    """Keys of the origin that are no paths and stand in no listing (docs/semantics.md)."""
    listed: float = 0.0
    """Seconds since 1970, when the origin was listed."""
    lister: str = ""
    """The name of the member that listed."""
