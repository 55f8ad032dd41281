"""One limit for all memory that buffers take, kept by making the next one wait its turn."""

import asyncio
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import TracebackType

from meshcache.units import KIB

_MEM_TOTAL = re.compile(rb"^MemTotal:\s+(\d+) kB$", re.MULTILINE)


class Budget:
    """Bytes that may be taken at one time. First come, first served: a large request is not
    overtaken by small ones that would fit, so it cannot starve. Belongs to one event loop."""

    def __init__(self, total: int) -> None:
        self.total = total
        """Bytes."""
        self.taken = 0
        """Bytes taken now. Above `total` only while one request that is larger is served alone."""
        self._waiting: deque[_Taking] = deque()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def take(self, size: int) -> "_Taking":
        """``async with budget.take(size):`` waits for its turn, and gives back at the end.

        A size above the total waits until nothing else is taken, and is then served alone.
        """
        return _Taking(self, size)

    def _fits(self, size: int) -> bool:
        return self.taken == 0 or self.taken + size <= self.total

    def _serve(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            if not first.gone and not self._fits(first.size):
                return
            self._waiting.popleft()
            if not first.gone:
                first.grant()


class _Taking:
    def __init__(self, budget: Budget, size: int) -> None:
        self.size = size
        self._budget = budget
        self._turn: asyncio.Future[None] | None = None

    @property
    def gone(self) -> bool:
        """Cancelled, though its task may not have run since."""
        return self._turn is not None and self._turn.cancelled()

    def grant(self) -> None:
        self._budget.taken += self.size
        if self._turn is not None:
            self._turn.set_result(None)

    async def __aenter__(self) -> None:
        budget = self._budget
        if not budget._waiting and budget._fits(self.size):
            self.grant()
            return
        self._turn = asyncio.get_running_loop().create_future()
        budget._waiting.append(self)
        try:
            await self._turn
        except asyncio.CancelledError:
            if self.gone:
                with suppress(ValueError):
                    budget._waiting.remove(self)
            else:  # granted and cancelled in the same turn of the loop
                budget.taken -= self.size
            budget._serve()  # who stood behind may fit now
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._budget.taken -= self.size
        self._budget._serve()


def memory_limit(root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> int:
    """Bytes of memory this process may use: the least of its cgroup's limit, those of all cgroups
    above it (version 2 or 1), and the machine's memory."""
    limits = [_machine_memory(proc)]
    for file in _limit_files(root, proc):
        try:
            text = file.read_text().strip()
        except OSError:
            continue  # a container sees only its own part of the tree
        if text.isdigit():  # version 2 has "max" for no limit, version 1 a number above all memory
            limits.append(int(text))
    return min(limits)


def _machine_memory(proc: Path) -> int:
    match = _MEM_TOTAL.search((proc / "meminfo").read_bytes())
    return int(match[1]) * KIB if match else 1 << 62


def _limit_files(root: Path, proc: Path) -> Iterator[Path]:
    """cgroups(7): each line of /proc/self/cgroup is hierarchy:controllers:path."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            # The second is where version 2 is mounted on machines that have both.
            for mounted in (root, root / "unified"):
                yield from _up_the_tree(mounted, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _up_the_tree(root / "memory", path, "memory.limit_in_bytes")


def _up_the_tree(mounted: Path, path: str, name: str) -> Iterator[Path]:
    # A cgroup outside of this process's namespace is shown as /../..: its limits cannot be seen.
    inner = PurePosixPath(*[part for part in path.split("/") if part not in ("", "..")])
    for folder in (inner, *inner.parents):
        yield mounted / folder / name
