"""``meshcache mount`` and ``meshcache umount``: a dataset as a directory.

The mount's process is the keeper (`meshcache.fuse.keeper`): it stays for as long as the mount does.
With --daemon another process goes on for that, and this one waits until the mount answers.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from meshcache.agent.cli import background, exits
from meshcache.agent.cli.alone import AloneOption, ends_this_process
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.errors import AgentUnreachable, DatasetNotFound, InvalidInput, MeshcacheError
from meshcache.units import parse_duration

DOOR_TIMEOUT = 10.0
"""Seconds for the agent to accept at the door."""

DEVICE_WITHIN = 60.0
"""Seconds for the one who mounts to send the device."""

HEARD_WITHIN = 15.0
"""Seconds for a guest's agent to have heard of the dataset."""

MAX_DEADLINE = 24 * 3600.0
"""Seconds that a request may be given."""

LEAVE_TIMEOUT = 2.0
"""Seconds for the agent to take the mount off its list at the end; it notices by itself, later."""


class Late(StrEnum):
    """How a request ends whose deadline has passed."""

    ETIMEDOUT = "ETIMEDOUT"
    EIO = "EIO"


@asks_agent
def mount(
    target: Target,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The dataset.")],
    mountpoint: Annotated[
        Path | None,
        typer.Argument(
            metavar="MOUNTPOINT",
            readable=False,  # typer would ask the file system, which here may not answer
            help="An empty directory; or /dev/fd/N, a FUSE device that is mounted already.",
        ),
    ] = None,
    fd_socket: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Get the mounted device over this Unix socket, instead of a MOUNTPOINT.",
        ),
    ] = None,
    guest: Annotated[
        bool,
        typer.Option(
            "--guest",
            help="With an agent of its own, for where none runs; MESHCACHE_* variables set it up.",
        ),
    ] = False,
    bind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER=PLACE",
            help="Show a folder of the dataset at PLACE, too; repeatable.",
        ),
    ] = None,
    volume: Annotated[
        bool,
        typer.Option(
            "--volume", help="The MOUNTPOINT is a volume that this container shares with others."
        ),
    ] = False,
    reach: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="With --volume: a folder that outlives this container and propagates as the "
            "volume does. Through it the next container unmounts what a killed one left.",
        ),
    ] = None,
    until_alone: AloneOption = None,
    daemon: Annotated[
        bool, typer.Option("--daemon", help="Return when the mount answers, and leave it there.")
    ] = False,
    allow_other: Annotated[bool, typer.Option(help="Let other users read it, too.")] = True,
    deadline: Annotated[
        str,
        typer.Option(metavar="DURATION", help="When a request ends in an error, whatever hangs."),
    ] = "60s",
    deadline_errno: Annotated[
        Late, typer.Option(help="The error that it then ends in.")
    ] = Late.ETIMEDOUT,
    log_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where a --daemon writes its log.")
    ] = None,
    log_level: Annotated[
        str, typer.Option(metavar="LEVEL", envvar="MESHCACHE_LOG_LEVEL", help="debug to error.")
    ] = "warning",
    ready_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Make this file when the mount answers, and remove it at the end."
        ),
    ] = None,
) -> int:
    """Mount a dataset, read-only, until it is unmounted, or until Ctrl-C or SIGTERM."""
    if target.socket is None:
        raise InvalidInput("a mount needs an agent on this machine: give --socket, not --agent")
    if log_level not in ("debug", "info", "warning", "error"):
        raise InvalidInput(f"--log-level is debug, info, warning or error, not {log_level!r}")
    if (mountpoint is None) == (fd_socket is None):
        raise InvalidInput("give a MOUNTPOINT or --fd-socket PATH, one of the two")
    seconds = parse_duration(deadline)
    if not 0 < seconds <= MAX_DEADLINE:
        raise InvalidInput(f"--deadline is more than 0 and at most {MAX_DEADLINE / 3600:g}h")
    place = (mountpoint or fd_socket or Path()).expanduser().absolute()
    from meshcache.fuse import given

    binds = dict(_parse_bind(text) for text in bind or [])
    is_given = fd_socket is not None or given.is_descriptor(place)
    if is_given and binds:
        raise InvalidInput("--bind needs a MOUNTPOINT that this command mounts itself")
    if reach is not None and not volume:
        raise InvalidInput("--reach goes with --volume: a MOUNTPOINT of no volume needs none")
    ready_fd: int | None = None
    if daemon:
        if is_given:
            raise InvalidInput("a given device is served in the foreground: without --daemon")
        if guest or binds or until_alone is not None:
            raise InvalidInput("--guest, --bind and --until-alone do not go with --daemon")
        # That process stands in the root of the file system.
        target = replace(target, socket=target.socket.absolute())
        ready_file = ready_file and ready_file.absolute()
        went = background.go_on(log_file or _log_folder() / f"mount-{name}.log")
        if isinstance(went, background.Waited):
            return went.code
        ready_fd = went

    _end_when_told()
    import structlog

    from meshcache.agent import logs
    from meshcache.fuse.keeper import MountSpec, keep

    logs.configure(log_level)
    structlog.contextvars.bind_contextvars(dataset=name, mountpoint=str(place))

    def ready() -> None:
        if ready_fd is not None:
            os.write(ready_fd, background.READY)
            os.close(ready_fd)
        else:
            print(f"{name} is mounted at {place}", file=sys.stderr)
        if ready_file is not None:
            ready_file.touch()

    device = None
    if fd_socket is not None:
        device = given.from_socket(place, within=DEVICE_WITHIN)
    elif is_given:
        device = given.from_descriptor(place)
    with contextlib.ExitStack() as stack:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)  # an earlier one's, which was killed
            stack.callback(ready_file.unlink, missing_ok=True)
        stack.enter_context(ends_this_process(until_alone))
        if guest:
            # Imported when used: it brings half of the agent, and a mount is to be there at once.
            from meshcache.agent.mounts.guest import GuestAgent

            target = Target(stack.enter_context(GuestAgent(os.environ)).socket)
        registered = _Registration(target, name, place, patient=guest)
        stack.callback(registered.leave)
        spec = MountSpec(
            dataset=name,
            mountpoint=place,
            device=device,
            volume=volume,
            reach=reach,
            binds=binds,
            allow_other=allow_other,
            deadline=seconds,
            too_late=getattr(errno, deadline_errno),
        )
        return keep(spec, registered.connect, ready)


def _end_when_told() -> None:
    """Until the keeper has its own way: a container's first process gets no signal that it does not
    handle, and there is an agent to be ended."""

    def end(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(exits.OK)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        signal.signal(number, end)


def _parse_bind(text: str) -> tuple[str, Path]:
    folder, equals, place = text.rpartition("=")
    if not equals or not folder.strip("/") or {".", ".."} & set(folder.split("/")):
        raise InvalidInput(f"--bind {text!r} cannot be read: write FOLDER=PLACE, like train=/data")
    return folder.strip("/"), Path(place).expanduser().absolute()


def umount(
    mountpoint: Annotated[Path, typer.Argument(metavar="MOUNTPOINT", help="Where it is mounted.")],
    force: Annotated[
        bool, typer.Option("--force", help="Even if it is in use: open files get errors.")
    ] = False,
) -> None:
    """Unmount a dataset."""
    from meshcache.fuse.mountpoint import unmount

    unmount(mountpoint, force=force)


class _Registration:
    """The mount's place on the agent's list: anew for each agent, as it may have been restarted."""

    def __init__(self, target: Target, name: str, place: Path, *, patient: bool) -> None:
        """`patient`: the agent has only just joined, and may not have heard of the dataset yet."""
        self._target = target
        self._until = time.monotonic() + HEARD_WITHIN if patient else 0.0
        self._name = name
        self._place = place
        self._id: str | None = None
        self._keeper = secrets.token_hex(8)

    def connect(self, shown: Mapping[str, int]) -> socket.socket:
        """Register, and connect to the door that the agent names."""
        answer = self._register(shown)
        self._id = answer["id"]
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            door.settimeout(DOOR_TIMEOUT)
            door.connect(answer["door"])
            door.settimeout(None)
        except OSError as error:
            door.close()
            raise AgentUnreachable(
                f"the agent's door {answer['door']} does not open: {error.strerror or error}"
            ) from error
        return door

    def _register(self, shown: Mapping[str, int]) -> dict[str, Any]:
        while True:
            try:
                return ask(
                    self._target,
                    lambda client: client.add_mount(
                        self._name,
                        str(self._place),
                        os.getpid(),
                        keeper=self._keeper,
                        shown=shown,
                    ),
                )
            except DatasetNotFound:
                if time.monotonic() >= self._until:
                    raise
                time.sleep(0.1)

    def leave(self) -> None:
        """Take the mount off the list, if the agent is there."""
        if (mount_id := self._id) is None:
            return

        async def tell(client: Any) -> None:
            async with asyncio.timeout(LEAVE_TIMEOUT):
                await client.remove_mount(mount_id)

        with contextlib.suppress(MeshcacheError, TimeoutError):
            ask(self._target, tell)


def _log_folder() -> Path:
    if os.geteuid() == 0:
        return Path("/var/log/meshcache")
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "meshcache"
