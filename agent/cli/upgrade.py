"""``meshcache upgrade-worker``: replace the program under a mount, without unmounting it."""

import os
import signal
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.errors import EnvironmentUnfit, MountpointUnusable

WITHIN = 90.0
"""Seconds for the new worker to be ready and take over."""

_EVERY = 0.1


@asks_agent
def upgrade_worker(
    target: Target,
    mountpoint: Annotated[
        Path,
        typer.Argument(metavar="MOUNTPOINT", readable=False, help="Where a dataset is mounted."),
    ],
) -> None:
    """Have the program as it is installed now serve a mount; open files stay open.

    The mount's keeper goes on; only its worker is replaced. SIGHUP to the keeper does the same.
    """
    place = str(mountpoint.expanduser().absolute())
    before = _find(target, place)
    _signal(before["pid"], place)
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        time.sleep(_EVERY)
        now = _find(target, place, or_none=True)
        if now is None:
            continue
        workers, earlier = now["workers"], before["workers"]
        if workers["failed"] > earlier["failed"]:
            raise EnvironmentUnfit(f"the worker stays as it was: {workers['problem']}")
        if workers["upgrades"] > earlier["upgrades"] and workers["state"] == "serving":
            print(
                f"{place}: served by version {workers['version']} (pid {workers['pid']}), after a "
                f"pause of {workers['pause'] * 1000:.1f} ms"
            )
            return
    raise EnvironmentUnfit(
        f"nothing happened in {WITHIN:g} s: the reason stands in the log of `meshcache mount`"
    )


def _find(target: Target, place: str, *, or_none: bool = False) -> Any:
    mounts = ask(target, lambda client: client.mounts())
    found = [mount for mount in mounts if mount["mountpoint"] == place]
    if not found and not or_none:
        raise MountpointUnusable(f"this agent has nothing mounted at {place}: see its status")
    # While a worker is replaced the mount has two doors; the later one is the new worker's.
    return found[-1] if found else None


def _signal(pid: int, place: str) -> None:
    """SIGHUP to the keeper, if it is one: its number may be that of another pid namespace."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        arguments = []
    if b"mount" not in arguments or os.fsencode(place) not in arguments:
        raise EnvironmentUnfit(
            f"the keeper of {place} does not run here: send SIGHUP to its process in its container"
        )
    try:
        os.kill(pid, signal.SIGHUP)
    except (ProcessLookupError, PermissionError) as error:
        raise EnvironmentUnfit(f"the keeper of {place}, {pid}: {error.strerror}") from error
