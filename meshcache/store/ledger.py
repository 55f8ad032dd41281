"""Which blocks are kept, in which order they go, and how many bytes that takes. No I/O.

A record is *listed* while its block can be asked for, and *in use* while somebody refers to its
bytes: a draft's mapping, a loan, a reader's mapping. Its charge counts while it is either. Only
what is listed and not in use may be evicted, least recently used first; a record joins the end
of that order when its last use ends.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator

import msgspec

from meshcache.block import BlockId
from meshcache.store.trailer import trailer_size

ALLOCATION = 4096
"""Bytes by which file systems allocate."""


def charge_of(length: int) -> int:
    """Bytes that a block with `length` bytes of data takes on disk."""
    return charge_of_file(length + trailer_size(length))


def charge_of_file(size: int) -> int:
    """Bytes that a file of that size takes on disk. Its name (about 100 bytes) is not counted."""
    return -(-size // ALLOCATION) * ALLOCATION


class Record(msgspec.Struct, eq=False, gc=False):
    """What is remembered of a block. A store has hundreds of thousands of these: gc=False keeps
    them out of the collector's rounds, and they refer to nothing that could close a circle."""

    id: BlockId
    charge: int
    """Bytes."""
    touched: float
    """The modification time of its file: when it was used, to a minute. Seconds since 1970."""
    checked: bool = False
    """This process has seen its bytes match their checksums."""
    listed: bool = False
    uses: int = 0


class Ledger:
    """The records of one store and the sum of their charges."""

    def __init__(self, quota: int) -> None:
        self.quota = quota
        self.used = 0
        self.evictable = 0
        """Bytes that the listed records take which are not in use."""
        self._idle: OrderedDict[BlockId, Record] = OrderedDict()
        self._busy: dict[BlockId, Record] = {}
        self.on_change: Callable[[BlockId, bool], None] = lambda block_id, there: None
        """Told of each block that can be found from now on, or cannot any more."""

    def __len__(self) -> int:
        return len(self._idle) + len(self._busy)

    def ids(self) -> Iterator[BlockId]:
        """The listed blocks as they are now, the least recently used first."""
        return iter([*self._idle, *self._busy])

    def get(self, block_id: BlockId) -> Record | None:
        """The listed record of that block."""
        return self._idle.get(block_id) or self._busy.get(block_id)

    def oldest(self) -> Record | None:
        """The record to evict next."""
        return next(iter(self._idle.values()), None)

    def lacks(self, charge: int) -> bool:
        """Whether something must be evicted before `charge` bytes more are taken."""
        return self.used + charge > self.quota

    def could_hold(self, charge: int) -> bool:
        """Whether `charge` bytes more fit once all that can be evicted is."""
        return self.used - self.evictable + charge <= self.quota

    def admit(self, record: Record) -> None:
        """Count a new record, in use (a draft) or listed next (a block found on disk)."""
        self.used += record.charge

    def list(self, record: Record) -> None:
        """Let an admitted record be found; one of the same block is unlisted."""
        if (former := self.get(record.id)) is not None:
            self.unlist(former)
        record.listed = True
        if record.uses:
            self._busy[record.id] = record
        else:
            self._idle[record.id] = record
            self.evictable += record.charge
        self.on_change(record.id, True)

    def unlist(self, record: Record) -> None:
        """Let a listed record be found no more. Counts on while it is in use."""
        record.listed = False
        if record.uses:
            del self._busy[record.id]
        else:
            del self._idle[record.id]
            self.evictable -= record.charge
            self.used -= record.charge
        self.on_change(record.id, False)

    def use(self, record: Record) -> None:
        """Begin one use."""
        record.uses += 1
        if record.uses == 1 and record.listed:
            self._busy[record.id] = self._idle.pop(record.id)
            self.evictable -= record.charge

    def give_back(self, record: Record) -> None:
        """End one use."""
        record.uses -= 1
        if record.uses:
            return
        if record.listed:
            self._idle[record.id] = self._busy.pop(record.id)
            self.evictable += record.charge
        else:
            self.used -= record.charge
