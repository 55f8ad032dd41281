"""Mapping a lent file, so that reading the mapping neither stops the loop nor kills the process.

Two things can go wrong with memory that is a file: a page that is not there stops whoever touches
it until the disk has answered, and a page that can never be there (the file is shorter, the disk
failed) kills it by SIGBUS. So a mapping is checked against the file's length and populated before a
reader sees it: in a thread, unless the file is in memory.
"""

import ctypes
import errno
import os

from meshcache.errors import EnvironmentUnfit, StoreError
from meshcache.store.pages import Pages, map_read_only
from meshcache.units import MIB

_MADV_POPULATE_READ = 22
"""linux/mman.h; Linux 5.14 and newer. Maps the pages and reads those that are not in memory."""

# mmap.madvise of the standard library keeps the interpreter's lock while the kernel reads the
# disk; a call through ctypes gives it back.
_libc = ctypes.CDLL(None, use_errno=True)
_madvise = _libc.madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


_fstatfs = _libc.fstatfs
_fstatfs.argtypes = (ctypes.c_int, ctypes.c_void_p)

_TMPFS_MAGIC = 0x01021994
"""linux/magic.h."""

_PROBED = 256 << 10
"""Bytes of the longest block that is looked for in the page cache by reading it: 10 us for 100 KB,
where a thread's turn takes 100."""


def is_in_memory(file: int, length: int) -> bool:
    """Whether `map_file` need not wait for a disk: the file lies in tmpfs, or is short and in the
    page cache."""
    status = os.fstat(file)
    if _is_tmpfs(status.st_dev, file):
        return True
    if length > _PROBED:
        return False
    try:
        return os.preadv(file, [memoryview(_scratch)[:length]], 0, os.RWF_NOWAIT) == length
    except OSError:  # a page is not there, or the file system cannot tell
        return False


_scratch = bytearray(_PROBED)

_by_device: dict[int, bool] = {}


def _is_tmpfs(device: int, file: int) -> bool:
    known = _by_device.get(device)
    if known is None:
        answer = ctypes.create_string_buffer(256)  # struct statfs has 120 bytes; f_type comes first
        kind = ctypes.c_long.from_buffer(answer)
        known = _by_device[device] = _fstatfs(file, answer) == 0 and kind.value == _TMPFS_MAGIC
    return known


def map_file(file: int, length: int) -> memoryview:
    """The first `length` bytes of a file, mapped read-only. Blocks unless `is_in_memory`: else
    call it in a thread.

    The mapping holds on to the file by itself; `file` may be closed afterwards. It ends with the
    last view of it.

    Raises:
        StoreError: the file is shorter, or cannot be mapped or read.
    """
    try:
        status = os.fstat(file)
        if status.st_size < length or length <= 0:
            raise StoreError(f"a block of {length} bytes came in a file of {status.st_size}")
        mapping = map_read_only(file, length)
        if not _is_tmpfs(status.st_dev, file):  # else the kernel need not wait for a page
            _populate(mapping, file, length)
    except (OSError, EnvironmentUnfit) as error:
        raise StoreError(f"a block cannot be mapped: {error}") from error
    return mapping.data


def _populate(mapping: Pages, file: int, length: int) -> None:
    address = mapping.__array_interface__["data"][0]
    if _madvise(address, length, _MADV_POPULATE_READ) == 0:
        return
    number = ctypes.get_errno()
    if number != errno.EINVAL:
        raise OSError(number, os.strerror(number))
    # An older kernel: reading brings the pages into memory, and the faults are then short.
    scratch = bytearray(min(length, MIB))
    for offset in range(0, length, len(scratch)):
        os.preadv(file, [scratch], offset)
