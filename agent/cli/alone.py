"""Seeing that the programs one serves have ended.

A classic sidecar, an ordinary container, would keep its pod from completing. In a pod that shares
its processes (`shareProcessNamespace`) it sees the others': when there were some, and none is left,
its work is done. Meshcache's sidecars, which wait as well, do not count, nor does what else runs in
their containers: the kubelet's probes do.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

AloneOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="End when no other program has run for so long (in a pod that shares its processes).",
    ),
]

LOOK_EVERY = 0.5
"""Seconds from one look to the next."""

NOBODY_CAME = 900.0
"""Seconds after which an app that was never seen is taken for one that ended before the first look,
and not for one whose image is still to come."""


class Seen(NamedTuple):
    """One process of the pod."""

    parent: int
    command: tuple[str, ...]
    """Its arguments; empty for a kernel thread or one that has ended and was not reaped."""
    container: str = ""
    """Which container it runs in (its mount namespace); empty if that may not be known."""


def others(processes: Mapping[int, Seen], me: int) -> set[int]:
    """The processes that are no sidecar's: not the pod's first (which only holds the namespaces),
    not this one or another sidecar, nor what these have started or what runs beside them."""
    sidecars = {me} | {pid for pid, seen in processes.items() if _is_sidecar(seen.command)}
    containers = {processes[pid].container for pid in sidecars & processes.keys()} - {""}
    if 1 in processes and processes[1].container in containers:
        containers = set()  # no container of our own

    def belongs(pid: int) -> bool:
        if processes[pid].container in containers:
            return True
        while pid in processes and pid not in sidecars:
            pid = processes[pid].parent
        return pid in sidecars

    return {
        pid for pid, seen in processes.items() if pid != 1 and seen.command and not belongs(pid)
    }


def _is_sidecar(command: tuple[str, ...]) -> bool:
    return ("mount" in command and "--guest" in command) or any(
        word.startswith("--until-alone") for word in command
    )


def look(proc: Path = Path("/proc")) -> dict[int, Seen]:
    """The processes there are now."""
    found = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                command = (folder / "cmdline").read_bytes().split(b"\0")[:-1]
                # proc_pid_stat(5): the name stands in parentheses and may hold some itself.
                after = (folder / "stat").read_bytes().rpartition(b")")[2].split()
                parent = int(after[1])
                seen = Seen(parent, tuple(map(os.fsdecode, command)))
                with contextlib.suppress(PermissionError):  # it is another user's
                    seen = seen._replace(container=str((folder / "ns" / "mnt").readlink()))
                found[int(folder.name)] = seen
    return found


@contextmanager
def ends_this_process(seconds: float | None) -> Iterator[None]:
    """Send this process a SIGTERM once it was left alone for so many seconds; None: never."""
    if seconds is None:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        patience, quiet = max(seconds, NOBODY_CAME), 0.0
        while not over.wait(LOOK_EVERY):
            if others(look(), os.getpid()):
                patience, quiet = seconds, 0.0
            else:
                quiet += LOOK_EVERY
            if quiet >= patience:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = threading.Thread(target=watch, daemon=True, name="wait until alone")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
