"""Opening files that must lie below a folder, links and all.

A path is opened first and judged after: the kernel says where the open file really is
(``/proc/self/fd``), so no link, and no folder swapped between a check and a use, leads out.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path


class Outside(Exception):
    """The file is there, but not below any of the folders. Stays within meshcache."""


def is_beneath(path: str, root: str) -> bool:
    """Whether `path` is `root` or below it; both absolute and free of links."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def open_beneath(path: str | Path, roots: Sequence[str | Path] | None) -> int:
    """A descriptor, for reading, of the regular file at `path`; the caller closes it.

    Links are followed as long as the file itself lies below one of `roots` (themselves resolved
    now); None allows any place.

    Raises:
        Outside: the file is elsewhere.
        OSError: it cannot be opened, or is no regular file.
    """
    # O_NONBLOCK: opening a FIFO without a writer would wait for one.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        if roots is not None:
            real = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            if not any(is_beneath(real, os.path.realpath(root)) for root in roots):
                raise Outside(f"{path} is outside")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
