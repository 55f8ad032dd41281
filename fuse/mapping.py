"""Mapping a lent file, so that reading the mapping neither stops the loop nor kills the process.

Two things can go wrong with memory that is a file: a page that is not there stops whoever touches
it until the disk has answered, and a page that can never be there (the file is shorter, the disk
failed) kills it by SIGBUS. So a mapping is checked against the file's length and populated, both
in a thread, before the loop sees it.
"""

import ctypes
import errno
import mmap
import os

import numpy as np

from meshcache.errors import StoreError
from meshcache.store.held import map_read_only
from meshcache.units import MIB

_MADV_POPULATE_READ = 22
"""linux/mman.h; Linux 5.14 and newer. Maps the pages and reads those that are not in memory."""

# mmap.madvise of the standard library keeps the interpreter's lock while the kernel reads the
# disk; a call through ctypes gives it back.
_libc = ctypes.CDLL(None, use_errno=True)
_madvise = _libc.madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def map_file(file: int, length: int) -> memoryview:
    """The first `length` bytes of a file, mapped read-only. Blocks: call it in a thread.

    The mapping holds on to the file by itself; `file` may be closed afterwards. It ends with the
    last view of it.

    Raises:
        StoreError: the file is shorter, or cannot be mapped or read.
    """
    try:
        size = os.fstat(file).st_size
        if size < length or length <= 0:
            raise StoreError(f"a block of {length} bytes came in a file of {size}")
        mapping = map_read_only(file, length)
        _populate(mapping, file, length)
    except (OSError, ValueError) as error:  # ValueError: the file has shrunk meanwhile
        raise StoreError(f"a block cannot be mapped: {error}") from error
    return memoryview(mapping)


def _populate(mapping: mmap.mmap, file: int, length: int) -> None:
    address = np.frombuffer(mapping, np.uint8).ctypes.data
    if _madvise(address, length, _MADV_POPULATE_READ) == 0:
        return
    number = ctypes.get_errno()
    if number != errno.EINVAL:
        raise OSError(number, os.strerror(number))
    # An older kernel: reading brings the pages into memory, and the faults are then short.
    scratch = bytearray(min(length, MIB))
    for offset in range(0, length, len(scratch)):
        os.preadv(file, [scratch], offset)
