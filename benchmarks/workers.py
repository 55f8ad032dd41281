"""A mount's processes, found from outside: the keeper's children and theirs."""

import contextlib
import time
from pathlib import Path

_EVERY = 0.002


def children(pid: int) -> list[int]:
    """The processes that a process' first thread has started."""
    with contextlib.suppress(OSError):
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in listed.split()]
    return []


def all_of(keeper: int) -> list[int]:
    """A keeper's workers, spares included: what its template has forked."""
    return [worker for template in children(keeper) for worker in children(template)]


def serving(keeper: int, within: float = 30.0) -> int:
    """The worker that answers the kernel, known by the device that it has open. Waits for it.

    Raises:
        TimeoutError: there was none in so many seconds.
    """
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        for pid in all_of(keeper):
            if _has_device(pid):
                return pid
        time.sleep(_EVERY)
    raise TimeoutError(f"no worker of keeper {keeper} served in {within:g} s")


def _has_device(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return any(
            str(file.readlink()) == "/dev/fuse" for file in Path(f"/proc/{pid}/fd").iterdir()
        )
    return False
