"""How drafts are made, and become blocks. Three ways, by length:

- up to `SMALL`: filled in memory, and written to a file in one go when they are committed;
- up to `IN_MEMORY`: the same, but in the thread that hashes them, to a file that is there before;
- longer ones (snapshots, blocks of datasets that chose larger ones), which would take too much
  memory: in the mapping of their file, which is allocated first.

To fill a mapping costs a fault for each page, and on tmpfs the allocation zeroes what is filled
later: for 4 MiB 6.5 ms of CPU, hash included, against 5.3 on tmpfs, and 9 against 4 on ext4 (Linux
6.18); and the half of that which is hashing and writing leaves the loop to receive what comes next.
"""

import mmap
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from meshcache.block import DEFAULT_BLOCK_SIZE
from meshcache.errors import StoreFull
from meshcache.store.buffers import Buffers
from meshcache.store.draft import HASHED_AT_ONCE, Draft
from meshcache.store.held import Held, Later, when_gone
from meshcache.store.ledger import Record
from meshcache.store.memory import lend_copy
from meshcache.store.shelf import Shelf, write_over
from meshcache.store.trailer import encode, trailer_size

SMALL = HASHED_AT_ONCE
"""Bytes up to which a block is written by the loop's thread."""

IN_MEMORY = DEFAULT_BLOCK_SIZE
"""Bytes up to which a block is filled in memory."""

LARGE = 2 << 20
"""Bytes from which on a block takes a buffer that was used before."""

Name = Callable[[Record, str, int, bytes], Held]
"""Lends the whole file at a place, with its length and checksums, and gives it its block's name.
Raises StoreFull if that cannot be."""


class Drafts:
    """Makes the drafts of one store. Belongs to the event loop's thread."""

    def __init__(self, shelf: Shelf, name: Name, later: Later) -> None:
        self._shelf = shelf
        self._ledger = shelf.ledger
        self._name = name
        self._later = later
        self._buffers = Buffers(IN_MEMORY, trailer_size(IN_MEMORY))

    def make(self, record: Record, length: int) -> Draft:
        """A draft of `length` bytes, for which there is room.

        Raises:
            StoreFull: the disk is full or refuses.
        """
        if length <= SMALL:
            return self._small(record, length)
        return (self._in_memory if length <= IN_MEMORY else self._mapped)(record, length)

    # --- the three ways ---------------------------------------------------------------------

    def _small(self, record: Record, length: int) -> Draft:
        self._ledger.admit(record)
        self._ledger.use(record)
        return Draft(
            record.id,
            length,
            _memory(length).data,
            publish=partial(self._publish_small, record, length),
            remove=partial(self._ledger.give_back, record),
            later=self._later,
        )

    def _in_memory(self, record: Record, length: int) -> Draft:
        file = _File(record, self._shelf.folder.new_draft(), length)
        self._shelf.create(record, file.place)
        self._ledger.use(record)
        size = length + trailer_size(length)
        memory = self._buffers.take(size) if length >= LARGE else _memory(length)
        when_gone(memory, self._later, partial(self._ledger.give_back, record))
        return Draft(
            record.id,
            length,
            memory.data,
            write=file.write,
            publish=partial(self._publish_written, file),
            remove=partial(self._shelf.drop_draft, record, file.place),
            later=self._later,
        )

    def _mapped(self, record: Record, length: int) -> Draft:
        place = self._shelf.folder.new_draft()
        mapping = self._shelf.allocate(record, place, length + trailer_size(length))
        self._ledger.use(record)
        when_gone(mapping, self._later, partial(self._ledger.give_back, record))
        return Draft(
            record.id,
            length,
            mapping,
            publish=partial(self._publish_mapped, record, place, length),
            remove=partial(self._shelf.drop_draft, record, place),
            later=self._later,
        )

    # --- becoming a block -------------------------------------------------------------------

    def _publish_small(
        self, record: Record, length: int, data: memoryview, checksums: bytes
    ) -> Held:
        held = self._write(record, length, data, checksums)
        self._ledger.give_back(record)
        return held

    def _publish_written(self, file: "_File", data: memoryview, checksums: bytes) -> Held:
        if file.whole:
            return self._name(file.record, file.place, file.length, checksums)
        self._shelf.drop_draft(file.record, file.place)
        return self._write(file.record, file.length, data, checksums)

    def _publish_mapped(
        self, record: Record, place: str, length: int, mapping: mmap.mmap, checksums: bytes
    ) -> Held:
        mapping[length:] = encode(record.id, length, checksums)
        return self._name(record, place, length, checksums)

    def _write(self, record: Record, length: int, data: memoryview, checksums: bytes) -> Held:
        """Write the bytes to a file, evicting for it if the disk is full; if it stays so, lend
        them without keeping them."""
        data[length:] = encode(record.id, length, checksums)
        place = self._shelf.folder.new_draft()
        try:
            self._shelf.write(record, place, data)
            return self._name(record, place, length, checksums)
        except StoreFull:  # the bytes are here all the same
            self._shelf.drop_draft(record, place)
            return lend_copy(record.id, data[:length], checksums)


class _File:
    """The empty file of a draft in memory. It is made before a thread fills it, so who gives the
    draft up meanwhile removes it by its name, and the thread writes to nowhere."""

    def __init__(self, record: Record, place: str, length: int) -> None:
        self.record = record
        self.place = place
        self.length = length
        self.whole = False
        """All was written."""

    def write(self, data: memoryview, checksums: bytes) -> None:
        """In a thread: write bytes and trailer. It may fail: then the loop's thread, which
        can evict, is to try."""
        data[self.length :] = encode(self.record.id, self.length, checksums)
        try:
            write_over(self.place, data)
        except OSError:
            return
        self.whole = True


def _memory(length: int) -> npt.NDArray[np.uint8]:
    """Room for a block and its trailer. Of many bytes, it goes back to the kernel with its last
    user: malloc keeps much of what it is given back."""
    size = length + trailer_size(length)
    if length <= SMALL:
        return np.empty(size, np.uint8)
    return np.frombuffer(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)
