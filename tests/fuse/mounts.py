"""Real mounts for tests, and readers that cannot hang the test.

The test's process serves blocks, so it never touches a mount itself: whatever reads one is a
process of its own, with a limit of time.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

from benchmarks import workers
from meshcache.fuse.mountinfo import mount_at
from meshcache.fuse.mountpoint import abort, detach
from tests.support.wait import wait_until

T = TypeVar("T")

LIMIT = 30.0
"""Seconds that a reader may take."""


class Keeping:
    """A keeper's process and its mount."""

    def __init__(self, door: Path, mountpoint: Path, log: Path, *more: str) -> None:
        self.mountpoint = mountpoint
        self.log_path = log
        self._log: IO[bytes] = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuse.keeping", str(door), str(mountpoint), *more],
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline() == b"ready\n"

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def workers(self) -> list[int]:
        """The process ids of all workers, spares included."""
        return workers.all_of(self.process.pid)

    @property
    def templates(self) -> list[int]:
        """The process id of the process that workers are forked from."""
        return workers.children(self.process.pid)

    @property
    def worker(self) -> int:
        """The process id of the worker that answers the kernel: it has the device open."""
        return workers.serving(self.process.pid)

    @property
    def spare(self) -> int:
        """The process id of the worker that waits to take over."""
        serving = self.worker
        return wait_until(lambda: next((pid for pid in self.workers if pid != serving), 0))

    def leave_without_workers(self) -> int:
        """Stop the template, and kill every worker; gives the template."""
        (template,) = self.templates
        assert self.spare
        os.kill(template, signal.SIGSTOP)
        for pid in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return template

    @property
    def requests(self) -> int:
        """Requests that the kernel has made: the worker reads each by one system call."""
        lines = Path(f"/proc/{self.worker}/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["syscr"])

    def close(self) -> None:
        """End it by force, whatever state it is in."""
        mounted = mount_at(self.mountpoint)
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if mount_at(self.mountpoint) is not None:
            detach(self.mountpoint)
            if mounted is not None:
                abort(mounted)
        self.discard()

    def discard(self) -> None:
        """Forget a process that has ended."""
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


def outside(code: str, *arguments: object, limit: float = LIMIT, uid: int | None = None) -> str:
    """Run Python `code` (with `sys`, `os`, `time` imported) in a process of its own; gives what it
    printed, without the last newline."""
    started = start(code, *arguments, uid=uid)
    try:
        output, errors = started.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        started.kill()
        raise
    assert started.returncode == 0, errors
    return output.rstrip("\n")


def start(code: str, *arguments: object, uid: int | None = None) -> "subprocess.Popen[str]":
    """The same, without waiting; its standard input is a pipe."""
    # Not by Popen's user=: that user may not be able to reach the interpreter.
    become = "" if uid is None else f"os.setgroups([]); os.setgid({uid}); os.setuid({uid})\n"
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", f"import errno, os, sys, time\n{become}{code}"]
        + [str(argument) for argument in arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def errno_name(code: str, *arguments: object, uid: int | None = None) -> str:
    """The name of the errno that `code` fails with, or ``ok``."""
    indented = "\n".join(f"  {line}" for line in code.splitlines())
    return outside(
        f"try:\n{indented}\nexcept OSError as error:\n  print(errno.errorcode[error.errno])\n"
        "else:\n  print('ok')",
        *arguments,
        uid=uid,
    )


def undisturbed(look: Callable[[], T]) -> T:
    """What `look` gives, once nobody dropped the machine's caches meanwhile: another test may."""
    for _ in range(20):
        before = _drops()
        seen = look()
        if _drops() == before:
            return seen
    raise AssertionError("the machine's caches are dropped all the time")


def _drops() -> list[str]:
    """How often the machine's caches were dropped since it started."""
    return [
        line
        for line in Path("/proc/vmstat").read_text().splitlines()
        if line.startswith(("drop_pagecache ", "drop_slab "))
    ]


def drop_page_cache() -> None:
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
