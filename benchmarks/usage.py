"""What processes and the machine use: CPU time and memory (proc(5))."""

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory(pid: int, name: str) -> int:
    """Bytes of one line of /proc/PID/smaps_rollup."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def anonymous(pid: int) -> int:
    """Bytes of RssAnon: what is the process's own, without mapped files and shared memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"^RssAnon:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0  # one that ends has none


def descendants(pids: Iterable[int]) -> set[int]:
    """The processes, and all that they and those started."""
    known, waiting = set[int](), list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in known:
            known.add(pid)
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (task / "children").read_text().split())
    return known


def stored(folder: Path) -> int:
    """Bytes that the files below a folder take on its disk."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(f"{place}/{name}").st_blocks * 512
    return total


class Busy:
    """How busy the machine is from now on."""

    def __init__(self) -> None:
        """Begin."""
        self._before = self._ticks()

    @staticmethod
    def _ticks() -> tuple[int, int]:
        line = Path("/proc/stat").read_text().split("\n", 1)[0]
        fields = [int(field) for field in line.split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    def percent(self) -> float:
        """Of all CPUs, since the beginning."""
        total, idle = (now - then for now, then in zip(self._ticks(), self._before, strict=True))
        return 100 * (1 - idle / total) if total else 0.0
