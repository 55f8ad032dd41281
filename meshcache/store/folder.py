"""The cache folder: who owns it, and where what lies in it.

::

    lock                                    held with flock while an agent has the folder open
    store.json                              the store's id, once and for ever
    blocks/<2 hex>/<version>-<size>-<index> whole blocks; the 2 hex are the version's first
    tmp/draft-<n>                           blocks that are being filled; swept at open

Whatever else lies there is left alone and not counted.
"""

import fcntl
import os
import random
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from meshcache.block import BlockId
from meshcache.errors import InvalidInput, StoreUnusable

_DRAFT = re.compile(r"(draft|identity)-\d+")
_STORE_ID = re.compile(r"[0-9a-f]{32}")
_FORMAT = 1


class Identity(msgspec.Struct, frozen=True):
    """What stands in ``store.json``."""

    store_id: str
    """32 hex digits, random: blocks are placed by it, so it outlives names and addresses."""
    created: float
    """Seconds since 1970."""
    format: int = _FORMAT
    """Of the folder. A program that does not know it leaves the folder alone."""


class Found(msgspec.Struct, frozen=True, gc=False):
    """A block's file, as the folder shows it without opening it."""

    id: BlockId
    size: int
    """Bytes, trailer included."""
    mtime_ns: int


class Folder:
    """An open cache folder. All of it blocks the thread."""

    def __init__(self, path: Path, now: float, rng: random.Random) -> None:
        """Make what is missing, lock, and sweep the drafts of a killed agent.

        Raises:
            StoreUnusable: it cannot be made, written or locked, or is of a newer format.
        """
        self.path = path
        self._tmp, self._blocks = f"{path}/tmp", f"{path}/blocks"
        self._drafts = 0
        self._lock = -1
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._take_lock()
            self._make_private(path / "tmp")
            self._make_private(path / "blocks")
            for number in range(256):
                (path / "blocks" / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
            self._sweep()
            self.identity = self._identify(now, rng)
        except (FileExistsError, NotADirectoryError) as error:
            self.close()
            raise StoreUnusable(f"cache folder {path}: a file is in its place") from error
        except OSError as error:
            self.close()
            raise StoreUnusable(f"cache folder {path}: {_reason(error)}") from error
        except BaseException:
            self.close()
            raise

    def _take_lock(self) -> int:
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            raise StoreUnusable(
                f"cache folder {self.path} is used by another agent (process {pid}): "
                "stop it, or give this one a folder of its own"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return lock

    def _make_private(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)

    def _sweep(self) -> None:
        for file in (self.path / "tmp").iterdir():
            if _DRAFT.fullmatch(file.name):
                file.unlink()

    def _identify(self, now: float, rng: random.Random) -> Identity:
        file = self.path / "store.json"
        if not file.exists():
            self._write_identity(file, Identity(f"{rng.getrandbits(128):032x}", now))
        try:
            identity = msgspec.json.decode(file.read_bytes(), type=Identity)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StoreUnusable(
                f"{file} cannot be read ({error}): remove it to give the store a new identity"
            ) from error
        if identity.format != _FORMAT:
            raise StoreUnusable(
                f"cache folder {self.path} has format {identity.format}, this program knows "
                f"{_FORMAT}: use a newer meshcache or another folder"
            )
        if not _STORE_ID.fullmatch(identity.store_id):
            raise StoreUnusable(f"{file} has no valid store id: remove it to get a new one")
        return identity

    def _write_identity(self, file: Path, identity: Identity) -> None:
        draft = self.new_draft("identity")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(msgspec.json.encode(identity))
            out.flush()
            os.fsync(out.fileno())
        os.rename(draft, file)
        folder = os.open(self.path, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def new_draft(self, kind: str = "draft") -> str:
        """The path of the next draft. (Text: making a `Path` takes as long as making the file.)"""
        self._drafts += 1
        return f"{self._tmp}/{kind}-{self._drafts}"

    def place(self, block_id: BlockId) -> str:
        """The path of a block."""
        name = str(block_id)
        return f"{self._blocks}/{name[:2]}/{name}"

    def scan(self) -> Iterator[Found]:
        """All files that are named as blocks, in no certain order.

        One stat for each and nothing else: a folder may have hundreds of thousands.

        Raises:
            OSError: the folder cannot be read.
        """
        for number in range(256):
            shard = f"{number:02x}"
            with os.scandir(self.path / "blocks" / shard) as entries:
                for entry in entries:
                    if (block_id := _block_of(entry.name, shard)) is None:
                        continue
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield Found(block_id, status.st_size, status.st_mtime_ns)

    def close(self) -> None:
        """Let others have the folder. Idempotent."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _block_of(name: str, shard: str) -> BlockId | None:
    with suppress(InvalidInput):
        block_id = BlockId.parse(name)
        if name.startswith(shard) and str(block_id) == name:
            return block_id
    return None


def _reason(error: OSError) -> str:
    place = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{place}"
