"""The store of one node: lends blocks, takes drafts, keeps the quota. See the package's text."""

import asyncio
import errno
import os
import random
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from meshcache.block import MIN_BLOCK_SIZE, BlockId
from meshcache.errors import ChecksumMismatch, InvalidInput, StoreFull, StoreUnusable
from meshcache.store.draft import Draft
from meshcache.store.drafts import Drafts
from meshcache.store.folder import Folder
from meshcache.store.held import Held, Lent
from meshcache.store.ledger import Record, charge_of
from meshcache.store.memory import check_length
from meshcache.store.shelf import Shelf
from meshcache.store.trailer import read_trailer, verify
from meshcache.units import format_size


class Store:
    """The blocks of one folder, within a quota. Made by `open`."""

    def __init__(self, shelf: Shelf) -> None:
        """For `open`."""
        self._shelf = shelf
        self._ledger = shelf.ledger
        self._lent: dict[BlockId, Lent] = {}
        self._later: deque[Callable[[], None]] = deque()
        self._drafts = Drafts(shelf, self._name, self._later.append)
        self._open_drafts: weakref.WeakSet[Draft] = weakref.WeakSet()
        self._flags = os.RWF_NOWAIT

    @classmethod
    def open(
        cls,
        folder: Path,
        quota: int,
        *,
        now: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> "Store":
        """Open or make the store in `folder`, of at most `quota` bytes. Blocks: call in a thread.

        A quota smaller than what is there evicts at once, least recently used first.

        Raises:
            InvalidInput: the quota does not hold even one block of the smallest size.
            StoreUnusable: the folder cannot be made, read, written or locked.
        """
        if quota < charge_of(MIN_BLOCK_SIZE):
            raise InvalidInput(
                f"a quota of {format_size(quota)} holds no block: "
                f"give at least {format_size(charge_of(MIN_BLOCK_SIZE))}"
            )
        opened = Folder(folder, now(), rng or random.SystemRandom())
        try:
            shelf = Shelf(opened, quota, now)
            shelf.scan()
        except (OSError, StoreFull) as error:
            opened.close()
            raise StoreUnusable(f"cache folder {folder}: {error}") from error
        return cls(shelf)

    # --- what it is -------------------------------------------------------------------------

    @property
    def store_id(self) -> str:
        """32 hex digits, the same for the folder's whole life: blocks are placed by it."""
        return self._shelf.folder.identity.store_id

    @property
    def created(self) -> float:
        """When the folder was made, seconds since 1970."""
        return self._shelf.folder.identity.created

    @property
    def quota(self) -> int:
        """Bytes."""
        return self._ledger.quota

    @property
    def used(self) -> int:
        """Bytes on disk: blocks, drafts, and removed blocks that are still read."""
        self._settle()
        return self._ledger.used

    @property
    def evictable(self) -> int:
        """Bytes on disk that would make room for others: blocks that nobody uses."""
        self._settle()
        return self._ledger.evictable

    @property
    def blocks(self) -> int:
        """How many blocks can be lent."""
        return len(self._ledger)

    @property
    def evictions(self) -> int:
        """Blocks that were removed to make room, since `open`."""
        return self._shelf.counters.evictions

    @property
    def evicted_bytes(self) -> int:
        """What those took on disk."""
        return self._shelf.counters.evicted_bytes

    @property
    def corrupt(self) -> int:
        """Blocks that were found damaged or unreadable, and removed, since `open`."""
        return self._shelf.counters.corrupt

    @property
    def failures(self) -> int:
        """Times the disk or the kernel refused something, and it was done without."""
        return self._shelf.counters.failures

    def __contains__(self, block_id: BlockId) -> bool:
        """Whether the block is listed; it may turn out to be damaged when it is lent."""
        return self._ledger.get(block_id) is not None

    def ids(self) -> Iterator[BlockId]:
        """The blocks that are there at this moment; blocks in use come last."""
        return self._ledger.ids()

    def watch(self, on_change: Callable[[BlockId, bool], None]) -> None:
        """Have one function told of each block that comes (True) or goes (False), at that moment,
        in the thread of whoever caused it: it must be quick and raise nothing."""
        self._ledger.on_change = on_change

    # --- lending ----------------------------------------------------------------------------

    async def lend(self, block_id: BlockId) -> Held | None:
        """A loan of the block, or None if it is not here.

        A block that this process has not seen whole is first read and checked in a thread, once
        for all who ask meanwhile; a damaged one is removed.
        """
        self._settle()
        record = self._ledger.get(block_id)
        if record is None or self._shelf.closed:
            return None
        lent = self._lent.get(block_id)
        if lent is None:
            lent = self._lent[block_id] = self._open(record)
        held = Held(lent)
        if lent.opening is not None:
            try:
                await lent.opening.wait()
            except BaseException:
                held.release()
                raise
        if lent.fd < 0:
            held.release()
            return None
        self._shelf.touch(record, lent.fd)
        return held

    def _open(self, record: Record) -> Lent:
        lent = self._new_lent(record)
        if record.checked and self._open_from_memory(record, lent):
            return lent
        lent.opening = asyncio.Event()
        reading = asyncio.get_running_loop().run_in_executor(
            None, _read, self._shelf.folder.place(record.id), record.id, record.checked
        )
        reading.add_done_callback(partial(self._opened, record, lent, Held(lent)))
        return lent

    def _open_from_memory(self, record: Record, lent: Lent) -> bool:
        """Open a checked block's file, if that needs no read from the disk."""
        fd = -1
        try:
            fd = _open(self._shelf.folder.place(record.id))
            lent.open(fd, *read_trailer(fd, record.id, self._flags))
        except (OSError, ChecksumMismatch) as error:
            if isinstance(error, OSError) and error.errno == errno.EOPNOTSUPP:
                self._flags = 0  # tmpfs, which is memory anyway, knows no RWF_NOWAIT
            if fd >= 0:
                os.close(fd)
            return False  # the thread will meet the same, and `_opened` sort it out
        return True

    def _opened(
        self,
        record: Record,
        lent: Lent,
        opening: Held,
        reading: "asyncio.Future[tuple[int, int, bytes]]",
    ) -> None:
        """The thread is done. `opening` kept the block in use, whoever gave up waiting."""
        try:
            lent.open(*reading.result())
            record.checked = True
        except (ChecksumMismatch, OSError) as error:
            self._forget(lent)
            self._judge(record, error)
        finally:
            if lent.opening is not None:
                lent.opening.set()
            lent.opening = None
            opening.release()

    def _judge(self, record: Record, error: ChecksumMismatch | OSError) -> None:
        damaged = isinstance(error, ChecksumMismatch) or error.errno == errno.EIO
        if damaged:
            self._shelf.counters.corrupt += 1
        else:
            self._shelf.counters.failures += 1
        if damaged or isinstance(error, FileNotFoundError):
            self._shelf.remove(record)
        # else there were no descriptors or no memory left, and the block may be good

    def _new_lent(self, record: Record) -> Lent:
        return Lent(
            record.id,
            begin=partial(self._ledger.use, record),
            end=partial(self._ledger.give_back, record),
            last=partial(self._last_loan, record),
            unpin=partial(self._unpin, record),
            later=self._later.append,
        )

    def _last_loan(self, record: Record, lent: Lent) -> None:
        self._forget(lent)
        if lent.fd >= 0:
            self._shelf.touch(record, lent.fd)

    def _unpin(self, record: Record) -> None:
        self._shelf.touch(record)
        self._ledger.give_back(record)

    def _forget(self, lent: Lent) -> None:
        if self._lent.get(lent.id) is lent:
            del self._lent[lent.id]

    def _name(self, record: Record, place: str, length: int, checksums: bytes) -> Held:
        """Lend the whole file at `place`, and give it its block's name."""
        try:
            fd = _open(place)
        except OSError as error:
            self._shelf.counters.failures += 1
            raise StoreFull(f"block {record.id} cannot be lent: {error.strerror}") from error
        lent = self._new_lent(record).open(fd, length, checksums)
        held = Held(lent)
        if self._shelf.publish(record, place, fd):
            self._lent[record.id] = lent
        return held

    # --- keeping ----------------------------------------------------------------------------

    def reserve(self, block_id: BlockId, length: int) -> Draft:
        """Space for a block of `length` bytes: evicted for, and filled in memory unless it is long
        (`meshcache.store.drafts`). The caller has taken `length` bytes from its budget.

        Blocks the thread while the kernel makes a file; one that is mapped is allocated, too.

        Raises:
            InvalidInput: the block cannot have that length.
            StoreFull: all other blocks are in use, or the disk is full or refuses.
        """
        check_length(block_id, length)
        self._settle()
        record = Record(block_id, charge_of(length), 0.0, checked=True)
        self._shelf.make_room(record)
        draft = self._drafts.make(record, length)
        self._open_drafts.add(draft)
        return draft

    def discard(self, block_id: BlockId) -> None:
        """Remove a block; those who have it on loan keep it. Does nothing if it is not here."""
        self._settle()
        if (record := self._ledger.get(block_id)) is not None:
            self._shelf.remove(record)
            self._lent.pop(block_id, None)

    def close(self) -> None:
        """Abort the drafts and let others have the folder. Loans stay good. Idempotent."""
        if self._shelf.closed:
            return
        for draft in list(self._open_drafts):
            draft.abort()
        self._settle()
        self._shelf.closed = True
        self._shelf.folder.close()

    def _settle(self) -> None:
        """Count what ended since: mappings and forgotten loans go in any thread, at any moment."""
        while self._later:
            self._later.popleft()()


def _open(place: str) -> int:
    return os.open(place, os.O_RDONLY | os.O_CLOEXEC)


def _read(place: str, block_id: BlockId, checked: bool) -> tuple[int, int, bytes]:
    """In a thread: open a block's file and see that it is right. (descriptor, length, checksums)"""
    fd = _open(place)
    try:
        return fd, *(read_trailer if checked else verify)(fd, block_id)
    except BaseException:
        os.close(fd)
        raise
