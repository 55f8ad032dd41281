"""Taking back what the kernel remembers, when the head moves.

Data is never taken back: an inode's bytes do not change, so an unchanged file keeps its pages and
a changed one has another inode. Names are: those that were added (the kernel may remember that
they are not there), changed or removed; and the attributes of the directories they stand in.

The kernel takes locks here that a process may hold which waits for an answer of ours, so all of
this runs in a thread, never in the loop that answers.
"""

import os
import struct
from contextlib import suppress

import pyfuse3

from meshcache.snapshot import Changes, Snapshot

EPOCH_FROM = 10_000
"""Changed entries from which on all names are taken back in one step instead (Linux 6.16 and
newer). Below, only the changed ones are: the others then cost no look-up when they are used again.
The step is short, however many there are, and names that nobody uses again cost nothing."""

_NOTIFY_INC_EPOCH = 8
_HEADER = struct.Struct("=IiQ")


def take_back(old: Snapshot, new: Snapshot, device: int) -> int:
    """Have the kernel forget what is different; gives the number of entries. Blocks.

    Raises:
        OSError: the kernel cannot be told; ENODEV when the file system was unmounted meanwhile.
    """
    changes = Changes(old, new)
    if len(changes) < EPOCH_FROM or not _new_epoch(device):
        for parent, name in changes.names():
            with suppress(FileNotFoundError):  # the kernel does not know it
                pyfuse3.invalidate_entry(parent, name)
    for directory in changes.directories():
        with suppress(FileNotFoundError):
            pyfuse3.invalidate_inode(directory, attr_only=True)
    return len(changes)


def _new_epoch(device: int) -> bool:
    """Age every name at once; False where the kernel does not know how."""
    try:
        os.write(device, _HEADER.pack(_HEADER.size, _NOTIFY_INC_EPOCH, 0))
    except OSError:
        return False
    return True
