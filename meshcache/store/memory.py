"""Blocks in memory that no store lists: how reading goes on when nothing can be kept on disk."""

import fcntl
import mmap
import os
from collections.abc import Callable
from functools import partial

from meshcache.block import BlockId
from meshcache.errors import EnvironmentUnfit, InvalidInput, StoreFull
from meshcache.store.draft import Draft
from meshcache.store.held import Held, Lent

_F_SEAL_FUTURE_WRITE = 0x10
"""Linux 5.1; `fcntl` has no name for it. Unlike F_SEAL_WRITE it allows the draft's own mapping,
which somebody may still have a view of."""


def memory_draft(block_id: BlockId, length: int) -> Draft:
    """A draft whose block lives in memory (a memfd) until its last loan is released.

    The caller has taken `length` bytes from its budget. Blocks the thread while the kernel zeroes
    the memory, about 0.3 ms for each MiB.

    Raises:
        InvalidInput: the block cannot have that length.
        EnvironmentUnfit: no memory or descriptor is left.
    """
    check_length(block_id, length)
    fd = -1
    try:
        fd = os.memfd_create("meshcache-block", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.fchmod(fd, 0o400)  # the receiver of the descriptor must not open it for writing
        os.posix_fallocate(fd, 0, length)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        mapping = mmap.mmap(fd, length)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        raise EnvironmentUnfit(f"cannot take {length} bytes of memory: {error.strerror}") from error
    return Draft(
        block_id,
        length,
        mapping,
        publish=partial(_publish, block_id, length, fd),
        remove=partial(os.close, fd),
        later=_now,
    )


def lend_copy(block_id: BlockId, data: memoryview, checksums: bytes) -> Held:
    """A block of memory with those bytes.

    Raises:
        EnvironmentUnfit, StoreFull: no memory or descriptor is left.
    """
    draft = memory_draft(block_id, len(data))
    draft.view[:] = data
    return draft.publish(checksums)


def _publish(block_id: BlockId, length: int, fd: int, mapping: mmap.mmap, checksums: bytes) -> Held:
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | _F_SEAL_FUTURE_WRITE)
        read_only = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreFull(f"block {block_id} cannot be lent: {error.strerror}") from error
    os.close(fd)
    lent = Lent(block_id, begin=_nothing, end=_nothing, last=_ignore, unpin=_nothing, later=_now)
    return Held(lent.open(read_only, length, checksums))


def check_length(block_id: BlockId, length: int) -> None:
    """Raise InvalidInput unless that block can have that many bytes."""
    if not 0 < length <= block_id.block_size:
        raise InvalidInput(f"block {block_id} cannot have {length} bytes")


def _now(what: Callable[[], None]) -> None:
    what()


def _nothing() -> None:
    pass


def _ignore(lent: Lent) -> None:
    pass
