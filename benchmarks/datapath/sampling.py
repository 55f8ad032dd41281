"""One sample: the kernel's caches dropped, the program run that reads, the cost seen beside it."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from benchmarks.datapath.jobs import Done, Job
from benchmarks.mesh import CommandFailed, guarded
from benchmarks.usage import anonymous, cpu_seconds

_LOOK_EVERY = 0.05
_GRACE = 120.0
"""Seconds over the job's own time, until it is given up."""


def drop_caches() -> None:
    """Have the kernel forget pages, names and attributes."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


async def do(job: Job) -> Done:
    """Run the reading program.

    Raises:
        CommandFailed: it failed, or did not end.
    """
    process = await asyncio.create_subprocess_exec(
        *guarded(sys.executable, "-m", "benchmarks.datapath.jobs"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(job.seconds + _GRACE):
            said, errors = await process.communicate(msgspec.json.encode(job))
    except TimeoutError:
        raise CommandFailed(f"{job.kind} did not end") from None
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise CommandFailed(errors.decode(errors="replace").strip()[-300:])
    return Done(**json.loads(said))


class Cost:
    """What some processes take, from now on."""

    def __init__(self, pids: Iterable[int]) -> None:
        """Begin."""
        self._before = dict(self._each(pids))
        self.memory = 0
        """The most bytes of RssAnon, all together, that were seen."""

    @staticmethod
    def _each(pids: Iterable[int]) -> Iterator[tuple[int, float]]:
        for pid in pids:
            with contextlib.suppress(OSError):
                yield pid, cpu_seconds(pid)

    @property
    def cpu(self) -> float:
        """Seconds; of one that has ended, nothing."""
        return sum(now - self._before[pid] for pid, now in self._each(self._before))

    def look(self) -> None:
        """See how much memory it is now."""
        total = 0
        for pid in self._before:
            with contextlib.suppress(OSError):
                total += anonymous(pid)
        self.memory = max(self.memory, total)

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_EVERY)
