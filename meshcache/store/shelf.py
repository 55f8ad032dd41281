"""The folder and the ledger, kept in agreement: each change of the one is here with the other.

No method awaits, so no other task sees them apart. A file that cannot be removed stays counted
until the folder is opened again: the quota is about the disk, not about what we wish.
"""

import errno
import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from meshcache.errors import StoreFull
from meshcache.store.folder import Folder
from meshcache.store.ledger import Ledger, Record, charge_of_file
from meshcache.store.trailer import data_length
from meshcache.units import format_size

T = TypeVar("T")

TOUCH_EVERY = 60.0
"""Seconds. A block's modification time is when it was used, to this: the order of eviction after
a restart is right to a minute, and a hot block costs one utime a minute."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


@dataclass
class Counters:
    """What happened since the folder was opened."""

    evictions: int = 0
    """Blocks that were removed to make room."""
    evicted_bytes: int = 0
    """What those took on disk."""
    corrupt: int = 0
    """Files of blocks that were found damaged or unreadable, and removed."""
    failures: int = 0
    """Times the disk or the kernel refused something, and it was done without."""


class Shelf:
    """The blocks of an open folder and what is counted for them."""

    def __init__(self, folder: Folder, quota: int, now: Callable[[], float]) -> None:
        self.folder = folder
        self.ledger = Ledger(quota)
        self.counters = Counters()
        self.closed = False
        self._now = now

    def scan(self) -> None:
        """Take in what the folder has, and evict down to the quota.

        Raises:
            OSError: the folder cannot be read.
            StoreFull: what is over the quota cannot be removed.
        """
        for found in sorted(self.folder.scan(), key=lambda found: (found.mtime_ns, found.id)):
            if data_length(found.size) is None:  # cut short by a power cut
                self.counters.corrupt += 1
                os.unlink(self.folder.place(found.id))
                continue
            record = Record(found.id, charge_of_file(found.size), found.mtime_ns / 1e9)
            self.ledger.admit(record)
            self.ledger.list(record)
        self._evict_for(0)

    def make_room(self, record: Record) -> None:
        """Evict until what the record is charged for is within the quota.

        Raises:
            StoreFull: that cannot be; nothing was evicted, unless the disk refused midway.
        """
        if self.closed:
            raise StoreFull(f"block {record.id} cannot be kept: the store is closed")
        if not self.ledger.could_hold(record.charge):
            raise StoreFull(
                f"block {record.id} ({format_size(record.charge)}) does not fit in the quota of "
                f"{format_size(self.ledger.quota)}: the rest is in use"
            )
        self._evict_for(record.charge)

    def _evict_for(self, charge: int) -> None:
        while self.ledger.lacks(charge) and (oldest := self.ledger.oldest()) is not None:
            self._evict(oldest)

    def _evict(self, record: Record) -> None:
        try:
            with suppress(FileNotFoundError):
                os.unlink(self.folder.place(record.id))
        except OSError as error:
            self.counters.failures += 1
            raise StoreFull(f"block {record.id} cannot be evicted: {error.strerror}") from error
        self.ledger.unlist(record)
        self.counters.evictions += 1
        self.counters.evicted_bytes += record.charge

    def create(self, record: Record, place: str) -> None:
        """A new file at `place`, empty; its record is admitted.

        Raises:
            StoreFull: the disk is full or refuses.
        """
        self._on_disk(record, lambda: os.close(_new(place, os.O_WRONLY)))
        self.ledger.admit(record)

    def allocate(self, record: Record, place: str, size: int) -> mmap.mmap:
        """A new file of `size` bytes at `place`, mapped; its record is admitted.

        Raises:
            StoreFull: the disk is full or refuses.
        """
        mapping = self._on_disk(record, lambda: _new_mapping(place, size))
        self.ledger.admit(record)
        return mapping

    def write(self, record: Record, place: str, data: memoryview) -> None:
        """A new file at `place` with that content, whose record was admitted.

        Raises:
            StoreFull: the disk is full or refuses.
        """
        self._on_disk(record, lambda: _write_new(place, data))

    def _on_disk(self, record: Record, make: Callable[[], T]) -> T:
        freed = 0
        while True:
            try:
                return make()
            except OSError as error:
                # A disk that is smaller than the quota: the oldest block makes room for the new
                # one, as if the quota were reached, but no more than one block's worth.
                oldest = self.ledger.oldest() if error.errno in _NO_SPACE else None
                if oldest is None or freed >= record.charge:
                    self.counters.failures += 1
                    raise StoreFull(
                        f"block {record.id} cannot be kept in {self.folder.path}: {error.strerror}"
                    ) from error
                freed += oldest.charge
                self._evict(oldest)

    def publish(self, record: Record, place: str, fd: int) -> bool:
        """Give the whole file at `place`, open as `fd`, its block's name. False: the disk refused;
        the file is gone, and its bytes are there for who has the descriptor."""
        record.touched = self._now()
        try:
            os.utime(fd, ns=_times(record.touched))
            os.rename(place, self.folder.place(record.id))
        except OSError:
            self.counters.failures += 1
            self.drop_draft(record, place)
            return False
        self.ledger.list(record)
        return True

    def drop_draft(self, record: Record, place: str) -> None:
        """Remove a draft's file. Its record counts until the last use ends."""
        if not self._unlink(place):
            self.ledger.use(record)

    def remove(self, record: Record) -> None:
        """Remove a block's file and let it be found no more."""
        if not record.listed or self.closed:  # replaced meanwhile, or another agent's by now
            return
        if not self._unlink(self.folder.place(record.id)):
            self.ledger.use(record)
        self.ledger.unlist(record)

    def _unlink(self, path: str) -> bool:
        try:
            with suppress(FileNotFoundError):
                os.unlink(path)
        except OSError:
            self.counters.failures += 1
            return False
        return True

    def touch(self, record: Record, fd: int | None = None) -> None:
        """Note on disk that the block is used now, unless that was noted lately."""
        now = self._now()
        if abs(now - record.touched) < TOUCH_EVERY or not record.listed or self.closed:
            return
        record.touched = now
        try:
            os.utime(self.folder.place(record.id) if fd is None else fd, ns=_times(now))
        except OSError:
            self.counters.failures += 1


def _times(seconds: float) -> tuple[int, int]:
    return int(seconds * 1e9), int(seconds * 1e9)


def _new(place: str, mode: int) -> int:
    return os.open(place, mode | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _new_mapping(place: str, size: int) -> mmap.mmap:
    fd = _new(place, os.O_RDWR)
    try:
        os.posix_fallocate(fd, 0, size)
        return mmap.mmap(fd, size)
    except BaseException:
        os.unlink(place)
        raise
    finally:
        os.close(fd)


def _write_new(place: str, data: memoryview) -> None:
    fd = _new(place, os.O_WRONLY)
    try:
        _write(fd, data)
    except BaseException:
        os.unlink(place)
        raise
    finally:
        os.close(fd)


def write_over(place: str, data: memoryview) -> None:
    """Write into the empty file at `place`, which is there.

    Raises:
        OSError: it is not; or the disk is full or refuses.
    """
    fd = os.open(place, os.O_WRONLY | os.O_CLOEXEC)
    try:
        _write(fd, data)
    finally:
        os.close(fd)


def _write(fd: int, data: memoryview) -> None:
    if os.write(fd, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
