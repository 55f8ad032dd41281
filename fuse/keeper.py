"""The process that owns a mount: small, without an event loop, knowing nothing of caching.

It mounts, holds the device, has workers answer the kernel (`meshcache.fuse.crew`), brings them
doors to the agent, and unmounts at the end. As it holds the device, requests wait while no worker
answers instead of failing; it alone ends the mount with its own end.

In order: the first worker starts and gets its door; when it has a head to show, the keeper mounts,
plays the kernel's first request to it (`meshcache.fuse.handshake`) and hands over the device. Until
then nothing is mounted, so an agent that does not answer leaves nothing behind.

One thread does all of this, waiting for signals, for the workers' messages and for their ends. A
second one brings doors, because connecting may take its time and signals may not wait for it.
"""

import contextlib
import errno
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from meshcache.errors import AgentUnreachable, EnvironmentUnfit, MeshcacheError
from meshcache.fuse import binds, signals
from meshcache.fuse.crew import Crew, MountLost
from meshcache.fuse.doors import Connect, Doors
from meshcache.fuse.kernel import Kernel
from meshcache.fuse.messages import Serve
from meshcache.fuse.mountinfo import MOUNTINFO, Mounted, mount_at
from meshcache.fuse.mountpoint import check_mountpoint, detach, mount
from meshcache.fuse.poll import Poll
from meshcache.fuse.process import check_kernel
from meshcache.fuse.spares import START
from meshcache.fuse.volumes import Reach

log = structlog.get_logger("meshcache.fuse.keeper")

DEADLINE = 60.0
"""Seconds for a request, unless the mount is made with another deadline."""

_LOOK_EVERY, _LOOK_FOR = 0.05, 0.5
"""Seconds between two looks whether the mount has ended, and for which it is looked so, when the
kernel has told that some mount came or went (proc_pid_mounts(5))."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

UPGRADE_SIGNAL = signal.SIGHUP
"""Replaces the worker by one of the program as it is installed now. But with a terminal it means
that this was closed, and ends the mount."""


class MountSpec(msgspec.Struct, frozen=True):
    """What to mount, and how."""

    dataset: str
    """Its name, as `mount` and `df` show it."""
    mountpoint: Path
    device: int | None = None
    """A device that somebody else has mounted (`meshcache.fuse.given`); `mountpoint` then is only
    its name. The keeper takes it over, and neither mounts nor unmounts."""
    volume: bool = False
    """The mountpoint is a volume that a container shares with others (`check_mountpoint`)."""
    reach: Path | None = None
    """Where the volumes stay in reach of the next container (`meshcache.fuse.volumes`)."""
    binds: dict[str, Path] = {}
    """Folder of the dataset -> the directory that shows it alone (`meshcache.fuse.binds`)."""
    allow_other: bool = True
    """Let other users read, too; a user who is not root needs user_allow_other in fuse.conf."""
    readahead: int = 1 << 20
    """Bytes that the kernel reads ahead of a sequential reader, where it may be set (root, and a
    writable /sys); else the kernel's 128 KiB stay, with which it takes twice as long. Of a mapped
    file it reads so much around the first page that is looked at, and with 2 MiB opening a model's
    shard takes twice as long. (More than 1 MiB made one stream faster on one machine of 2 cores, by
    a fifth, and four streams slower on another, by a fifth.)"""
    deadline: float = DEADLINE
    """Seconds after which a request ends, whatever hangs below."""
    too_late: int = errno.ETIMEDOUT
    """The errno that it then ends with."""
    resend: bool = True
    """Make use of FUSE_NOTIFY_RESEND; False for tests of what older kernels do."""


def keep(spec: MountSpec, connect: Connect, on_ready: Callable[[], None]) -> int:
    """Mount a dataset and hold the mount until it is unmounted or a signal asks for its end.

    Blocks. To be called in the main thread: it handles `STOP_SIGNALS` and `UPGRADE_SIGNAL` while
    it runs.

    Args:
        connect: gives a connected SOCK_SEQPACKET socket to the agent's door for this mount, or
            raises a MeshcacheError or OSError. It is told which snapshots the mount has shown.
            Called again, from a thread and with growing pauses, whenever the agent has gone.
        on_ready: called once, when the mount answers.

    Returns:
        The exit code: 0 after a signal or an unmount, 1 after the mount was lost.

    Raises:
        MountpointUnusable: the mountpoint is missing, not empty, not a directory, or mounted.
        EnvironmentUnfit: this machine cannot mount, or the worker did not start.
        MeshcacheError, OSError: whatever the first `connect` raised.
        In all cases nothing is left mounted.
    """
    check_kernel()
    places = (spec.mountpoint, *spec.binds.values())
    reach = Reach(spec.reach, places) if spec.reach is not None else None

    def ready() -> None:
        if reach is not None:
            reach.show()
        on_ready()

    with contextlib.ExitStack() as stack:
        if reach is not None:
            stack.callback(reach.release)
            reach.recover()
            spec = msgspec.structs.replace(
                spec,
                mountpoint=reach.of(spec.mountpoint),
                binds={path: reach.of(volume) for path, volume in spec.binds.items()},
            )
        place = spec.mountpoint
        if spec.device is None:
            binds.clear(spec.binds.values(), volume=spec.volume)
            place = check_mountpoint(spec.mountpoint, volume=spec.volume)
        # Its first worker starts while the agent has the snapshot come: each takes its time.
        keeper = _Keeper(spec, place, connect)
        try:
            door = connect({})
            with signals.readable((*STOP_SIGNALS, UPGRADE_SIGNAL)) as arriving:
                return keeper.run(door, arriving, ready)
        finally:
            keeper.close()


class _Over(Exception):
    """The mount's time is over; gives the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Keeper:
    def __init__(self, spec: MountSpec, place: Path, connect: Connect) -> None:
        self._spec = spec
        self._place = place
        self._poll = Poll()
        self._doors = Doors(connect)
        self._poll.add(self._doors, self._on_door)
        terms = Serve(os.getuid(), os.getgid(), spec.deadline, spec.too_late)
        self._crew = Crew(self._poll, terms, self._on_door_wanted)
        self._kernel: Kernel | None = None
        self._mounted: Mounted | None = None
        self._mounts = -1
        self._look_until = 0.0

    def run(
        self, door: socket.socket, arriving: socket.socket, on_ready: Callable[[], None]
    ) -> int:
        self._poll.add(arriving, lambda: self._on_signal(arriving))
        try:
            self._crew.use_door(door)
            self._await(lambda: len(self._crew.shown) > 0)
            self._mount()
            self._await(lambda: self._crew.answering)
            self._tune()
            binds.bind(self._place, self._spec.binds)
            on_ready()
            while True:
                self._step(self._crew.tend())
        except _Over as over:
            self._unmount()
            return over.code
        except MountLost:
            log.error("the mount is lost with its worker", mountpoint=str(self._place))
            self._unmount()
            return 1

    def _step(self, timeout: float) -> None:
        """Wait until something has happened, and do what is to be done then.

        The device is not among what is waited for: with each request the kernel wakes all that
        wait for its device, whatever for, and a request's time would be half as long again. Its
        worker ends with the mount, and that is something that happens; one that is stopped does
        not, but the kernel tells that mounts have changed.
        """
        if time.monotonic() < self._look_until:
            timeout = min(timeout, _LOOK_EVERY)
        self._poll.step(timeout)
        if self._kernel is not None and self._kernel.ended:
            self._on_device_end()

    # --- the start --------------------------------------------------------------------------

    def _await(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AgentUnreachable(
                    f"the mount of {self._spec.dataset} did not get ready in {START:g} s: "
                    "the agent answers, but shows no snapshot"
                )
            self._step(left)
            if not self._crew.alive:
                raise EnvironmentUnfit(
                    "the mount's worker ended before it was ready; the reason stands in its log"
                )

    def _mount(self) -> None:
        spec = self._spec
        device = spec.device
        if device is None:
            device = mount(self._place, spec.dataset, allow_other=spec.allow_other)
            self._mounted = mount_at(self._place)
            self._mounts = os.open(MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
            self._poll.add(self._mounts, self._on_mounts_changed, select.POLLPRI)
        try:
            self._kernel = Kernel(device, resend=spec.resend)
        except BaseException:
            os.close(device)
            raise
        if not self._kernel.resends:
            log.warning(
                "this kernel cannot send requests again (FUSE_NOTIFY_RESEND, Linux 6.9): when a "
                "worker dies, what it was answering at that moment fails, once"
            )
        self._crew.begin(self._kernel)

    def _tune(self) -> None:
        """Raise the mount's readahead. The kernel lowers it to what FUSE_INIT said, so after it."""
        if self._mounted is None:
            return
        setting = Path("/sys/class/bdi") / self._mounted.bdi / "read_ahead_kb"
        try:
            setting.write_text(str(self._spec.readahead >> 10))
        except OSError as error:
            log.info("the kernel's readahead stays as it is", setting=str(setting), why=str(error))

    # --- what happens -----------------------------------------------------------------------

    def _on_signal(self, arriving: socket.socket) -> None:
        number = signal.Signals(arriving.recv(1)[0])
        if number == UPGRADE_SIGNAL and not _has_terminal():
            self._crew.upgrade()
            return
        log.info("stopping", signal=number.name)
        raise _Over(0)

    def _on_mounts_changed(self) -> None:
        # The file system ends a moment after it has left the list.
        self._look_until = time.monotonic() + _LOOK_FOR

    def _on_door(self) -> None:
        self._crew.use_door(self._doors.get())

    def _on_door_wanted(self) -> None:
        self._doors.bring(self._crew.shown.sizes)

    def _on_device_end(self) -> None:
        if self._is_ours():
            log.error("the mount was aborted: unmounting", mountpoint=str(self._place))
            raise _Over(1)
        log.info("unmounted", mountpoint=str(self._place))
        raise _Over(0)

    # --- the end ----------------------------------------------------------------------------

    def _is_ours(self) -> bool:
        """Whether what is mounted there is still our mount, and not another one."""
        mounted = mount_at(self._place)
        return mounted is not None and mounted == self._mounted

    def _unmount(self) -> None:
        if self._mounted is None or not self._is_ours():
            return
        binds.unbind(self._spec.binds.values())
        if detach(self._place):
            log.warning("files were open: they fail from now on", mountpoint=str(self._place))

    def close(self) -> None:
        """Leave nothing behind: no mount, no worker, no descriptor."""
        self._doors.close()
        with contextlib.suppress(MeshcacheError, OSError):
            self._unmount()
        if self._mounts >= 0:
            self._poll.drop(self._mounts)
            os.close(self._mounts)
        self._crew.close(at_once=self._kernel is None)
        if self._kernel is not None:
            self._kernel.close()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
