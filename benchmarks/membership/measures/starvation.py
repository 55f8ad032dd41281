"""A third of the members starves for CPU, together with busy loops, in a cgroup with a quota."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.membership.mesh import Mesh, Row
from benchmarks.mesh import guarded
from meshcache.errors import EnvironmentUnfit

QUOTA = 0.05
"""Cores that the starving have together."""
PERIOD_US = 100_000
SECONDS = 60.0
SETTLE = 20.0
BUSY = "while True: pass"
CONTROLLER = Path("/sys/fs/cgroup/cpu")
"""Of cgroups v1."""


class Quota:
    """A cgroup whose processes have so many cores together."""

    def __init__(self, cores: float) -> None:
        """Make it.

        Raises:
            EnvironmentUnfit: there is no CPU controller, or no right to use it.
        """
        self._folder = CONTROLLER / f"membership-{os.getpid()}"
        try:
            self._folder.mkdir()
            (self._folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self._folder / "cpu.cfs_quota_us").write_text(str(int(cores * PERIOD_US)))
        except OSError as error:
            raise EnvironmentUnfit(f"no CPU controller of cgroups v1 to use: {error}") from error

    def put(self, pid: int) -> None:
        """Move a process in."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Let the processes in it go free."""
        for pid in (self._folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (self._folder.parent / "cgroup.procs").write_text(pid)
        self._folder.rmdir()


@contextlib.contextmanager
def starved(pids: list[int]) -> Iterator[None]:
    """These processes share the quota with as many busy loops."""
    quota = Quota(QUOTA)
    loops = [subprocess.Popen(guarded(sys.executable, "-S", "-c", BUSY)) for _ in pids]
    try:
        time.sleep(0.5)
        for pid in (*pids, *(loop.pid for loop in loops)):
            quota.put(pid)
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
        quota.close()


def measure(mesh: Mesh, samples: int) -> list[Row]:
    """Failures that were declared: of members that had all the CPU they wanted (false ones; those
    declared by such members apart), and of the starving ones."""
    return [_once(mesh) for _ in range(samples)]


def _once(mesh: Mesh) -> Row:
    mesh.rest(5.0)
    starving = mesh.rng.sample(list(mesh.members.values())[1:], round(len(mesh.members) * 0.32))
    names = {member.name for member in starving}
    began = mesh.now()
    with starved([member.running.pid for member in starving]):
        mesh.rest(SECONDS)
    mesh.rest(SETTLE)
    failed = [(by, about) for _, by, about in mesh.said("failed", began)]
    false = [by for by, about in failed if about not in names]
    return {
        "starving": len(names),
        "false": len(false),
        "false_at_healthy": sum(by not in names for by in false),
        "of_starving": len(failed) - len(false),
    }
