"""What processes and the machine use: CPU time and memory (proc(5))."""

import os
import re
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
