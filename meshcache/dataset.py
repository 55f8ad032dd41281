"""The records that every member knows: datasets and their heads.

Both are replicated by gossip, so they are small, and hold references to secrets, never secrets.
"""

import re
from typing import Any, Literal, get_args

import msgspec

from meshcache.block import DEFAULT_BLOCK_SIZE, check_block_size
from meshcache.errors import InvalidInput

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")

MIN_PREFIX = 4
"""Digits of a version's id that name it, if no other one begins with them."""

_REFERENCE = re.compile(rf"{_NAME.pattern}(@[0-9a-f]{{{MIN_PREFIX},64}})?")

_FOR_EVER = 100 * 366 * 86400.0

MAX_RECORD = 4096
"""Bytes a record may take on the wire: what the replicated map allows for one entry."""


Policy = Literal["immutable", "ttl", "check-on-open"]
"""When the origin is looked at again: on request alone, when the listing is older than the
dataset's ``ttl``, or at each open of a file."""


def base_name(name: str) -> str:
    """The dataset that ``dataset`` or ``dataset@version`` is of."""
    return name.partition("@")[0]


class Mount(msgspec.Struct, frozen=True):
    """One origin of a dataset, and where in the dataset's tree it stands."""

    url: str
    """``s3://bucket/prefix``, ``oss://...``, ``https://host/path``, ``file:///directory``,
    ``pvc://claim/path``, ``dataset://name/path`` or ``dataset://name@version/path``."""
    path: str = "/"
    """The directory of the dataset that shows it: absolute, ``/`` for the dataset's root."""
    options: dict[str, str] = {}
    """Options for this origin alone; they win over the dataset's."""
    secret_options: dict[str, str] = {}
    """References for this origin alone; they win over the dataset's."""
    name: str = ""
    """What the user calls the mount. It means nothing to meshcache."""

    @property
    def reference(self) -> tuple[str, str] | None:
        """Of ``dataset://NAME/PATH``, name and path; None for any other origin. The name may be
        ``NAME@VERSION``."""
        scheme, _, rest = self.url.partition("://")
        if scheme.lower() != "dataset":
            return None
        name, _, path = rest.partition("/")
        return name, path


class Dataset(msgspec.Struct, frozen=True):
    """A name for data in remote storage, with all it takes to read it.

    Raises:
        InvalidInput: on making one whose name, mounts, policy, times or sizes cannot be.
    """

    name: str
    """A DNS label or several with dots, at most 63 characters: it becomes a PVC's name."""
    mounts: tuple[Mount, ...]
    uid: str = ""
    """Random, given at creation: a dataset that is deleted and made again is another one."""
    options: dict[str, str] = {}
    """Options for all origins: endpoint, region, addressing, anonymous, ..."""
    secret_options: dict[str, str] = {}
    """Option -> reference (``file:PATH`` or ``env:NAME``), resolved on each node that reads."""
    block_size: int = DEFAULT_BLOCK_SIZE
    """Bytes."""
    replicas: int = 1
    """How many members own each block."""
    created: float = 0.0
    """Seconds since 1970."""
    policy: Policy = "immutable"
    ttl: float = 0.0
    """Seconds that a listing is good for under the policy ``ttl``."""
    refresh_every: float = 0.0
    """Seconds between two refreshes that the mesh makes by itself; 0: none."""
    generation: int = 1
    """Raised by each change of the record; a dataset made anew begins at 1 with another uid."""
    namespaces: tuple[str, ...] = ()
    """The Kubernetes namespaces that may use it; empty: all."""

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
        if self.policy not in get_args(Policy):
            raise InvalidInput(
                f"{self.policy!r} is no policy: there are {', '.join(get_args(Policy))}"
            )
        if not 0 <= self.ttl < _FOR_EVER or not 0 <= self.refresh_every < _FOR_EVER:
            raise InvalidInput("ttl and refresh_every are seconds, from 0 to 100 years")
        if (self.policy == "ttl") != (self.ttl > 0):
            raise InvalidInput("the policy ttl needs a ttl over 0, and no other policy has one")
        check_block_size(self.block_size)
        for mount in self.mounts:
            if mount.reference and not _REFERENCE.fullmatch(mount.reference[0]):
                raise InvalidInput(
                    f"{mount.url} names no dataset: write dataset://NAME/PATH, or "
                    "dataset://NAME@VERSION/PATH with at least 4 hex digits of the version's id"
                )

    def wish(self) -> dict[str, Any]:
        """What a user chooses of it, by field: all but uid, age and generation."""
        given = {"uid", "created", "generation"}
        return {
            field: getattr(self, field) for field in self.__struct_fields__ if field not in given
        }

    def of(self, record: "Dataset") -> "Dataset":
        """What this says, as the dataset of that record: with its uid, age and generation."""
        return msgspec.structs.replace(
            self, uid=record.uid, created=record.created, generation=record.generation
        )

    def references(self) -> list[str]:
        """The names of the datasets that are its origins."""
        found = (mount.reference for mount in self.mounts)
        return list(dict.fromkeys(base_name(reference[0]) for reference in found if reference))


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


class Version(msgspec.Struct, frozen=True, array_like=True):
    """One snapshot that a dataset has shown."""

    id: bytes
    """The snapshot's id: the 32 bytes of its hash."""
    size: int
    """Bytes of the snapshot itself."""
    files: int
    bytes: int
    """Bytes of all files."""
    listed: float
    """Seconds since 1970, when the origin was first seen so."""
    lister: str
    """The name of the member that listed."""

    @property
    def name(self) -> str:
        """The id in hex."""
        return self.id.hex()


MAX_VERSIONS = 32


class History(msgspec.Struct, frozen=True):
    """The snapshots that a dataset has shown, the newest first."""

    dataset_uid: str
    versions: tuple[Version, ...] = ()
    """At most `MAX_VERSIONS`, and no more than fit into a record."""

    def with_head(self, head: Head) -> "History":
        """The history after this head. One that shows an old snapshot again makes it the newest."""
        if self.versions and self.versions[0].name == head.snapshot:
            return self
        version = Version(
            id=bytes.fromhex(head.snapshot),
            size=head.snapshot_size,
            files=head.files,
            bytes=head.bytes,
            listed=head.listed,
            lister=head.lister,
        )
        others = [old for old in self.versions if old.id != version.id]
        return History(head.dataset_uid, (version, *others)[:MAX_VERSIONS])

    def encode(self) -> bytes:
        """As a record; the oldest are left out if it would be too large."""
        history = self
        while len(record := msgspec.msgpack.encode(history)) > MAX_RECORD:
            history = History(self.dataset_uid, history.versions[:-1])
        return record
