"""A file's pages, mapped without a descriptor: `mmap.mmap` keeps one for each mapping before
Python 3.13, and a node may have more blocks mapped than a process may have files open."""

import ctypes
import mmap
import os
from typing import Any

import numpy as np

from meshcache.errors import EnvironmentUnfit

Pages = np.ndarray[tuple[int], np.dtype[np.uint8]]
"""Mapped bytes, read-only. They are unmapped with the last reference to them, or to a part."""

_libc = ctypes.CDLL(None, use_errno=True)
_mmap, _munmap = _libc.mmap, _libc.munmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = (
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int),
    ctypes.c_long,
)
_munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value


def map_read_only(fd: int, length: int) -> Pages:
    """Map the first `length` bytes of a file, which has them: reading behind its end is SIGBUS.

    Raises:
        EnvironmentUnfit: no address space is left for it.
    """
    address = _mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    if address == _FAILED:
        why = os.strerror(ctypes.get_errno())
        raise EnvironmentUnfit(f"cannot map {length} bytes: {why}")
    return np.asarray(_Mapping(address, length))


class _Mapping:
    """What numpy asks where the bytes are, and keeps as long as there is an array of them."""

    __slots__ = ("_address", "_length")

    def __init__(self, address: int, length: int) -> None:
        self._address = address
        self._length = length

    @property
    def __array_interface__(self) -> dict[str, Any]:
        read_only = True
        return {
            "version": 3,
            "shape": (self._length,),
            "typestr": "|u1",
            "data": (self._address, read_only),
        }

    def __del__(self, munmap: Any = _munmap) -> None:
        munmap(self._address, self._length)
