"""The process that owns a mount: small, without an event loop, knowing nothing of caching.

It mounts, holds the device, starts the worker that answers the kernel, brings it a door to the
agent (and a new one when the agent was restarted), and unmounts at the end. As it holds the
device, requests wait while no worker answers instead of failing.

In order: the worker starts and gets its door; when it has a head to show, the keeper mounts, plays
the kernel's first request to it (`meshcache.fuse.handshake`) and hands over the device. Until then
nothing is mounted, so an agent that does not answer leaves nothing behind.

One thread does all of this, waiting for signals, for the worker's messages and for its end. A
second one brings doors, because connecting may take its time and signals may not wait for it.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import structlog

from meshcache.errors import AgentUnreachable, EnvironmentUnfit, MeshcacheError
from meshcache.fuse import binds
from meshcache.fuse.doors import Doors
from meshcache.fuse.handshake import READ_BUFFER, is_init, parse_answer, raise_limits
from meshcache.fuse.messages import (
    Answering,
    DoorLost,
    NewDoor,
    Serve,
    Showing,
    decode_from_worker,
    encode,
)
from meshcache.fuse.mountinfo import Mounted, mount_at
from meshcache.fuse.mountpoint import check_mountpoint, detach, mount
from meshcache.fuse.packets import receive_now
from meshcache.fuse.volumes import Reach

log = structlog.get_logger("meshcache.fuse.keeper")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP: the terminal of a mount in the foreground was closed."""

_START = 60.0
"""Seconds that the worker has until there is a head to show, and again until the mount answers."""

_GRACE = 0.5
"""Seconds that the worker has to end by itself after the unmounting."""


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
    readahead: int = 2 << 20
    """Bytes that the kernel reads ahead of a sequential reader, where it may be set (root, and a
    writable /sys); else the kernel's 128 KiB stay. On 2 cores, from tmpfs, medians of three: 0.9
    GB/s with 128 KiB, 1.75 with 1 MiB, 2.1 with 2 MiB, 1.9 with 4 MiB."""


def keep(
    spec: MountSpec, connect: Callable[[], socket.socket], on_ready: Callable[[], None]
) -> int:
    """Mount a dataset and hold the mount until it is unmounted or a signal asks for its end.

    Blocks. To be called in the main thread: it handles `STOP_SIGNALS` while it runs.

    Args:
        connect: gives a connected SOCK_SEQPACKET socket to the agent's door for this mount, or
            raises a MeshcacheError or OSError. Called again, from a thread and with growing
            pauses, whenever the agent has gone.
        on_ready: called once, when the mount answers.

    Returns:
        The exit code: 0 after a signal or an unmount, 1 after the worker died.

    Raises:
        MountpointUnusable: the mountpoint is missing, not empty, not a directory, or mounted.
        EnvironmentUnfit: this machine cannot mount, or the worker did not start.
        MeshcacheError, OSError: whatever the first `connect` raised.
        In all cases nothing is left mounted.
    """
    places = (spec.mountpoint, *spec.binds.values())
    reach = Reach(spec.reach, places) if spec.reach is not None else None

    def ready() -> None:
        if reach is not None:
            reach.show()
        on_ready()

    with contextlib.ExitStack() as stack:
        if reach is not None:
            reach.recover()
            stack.callback(reach.release)
            spec = msgspec.structs.replace(
                spec,
                mountpoint=reach.of(spec.mountpoint),
                binds={path: reach.of(volume) for path, volume in spec.binds.items()},
            )
        place = spec.mountpoint
        if spec.device is None:
            binds.clear(spec.binds.values(), volume=spec.volume)
            place = check_mountpoint(spec.mountpoint, volume=spec.volume)
        door = stack.enter_context(connect())
        signals = stack.enter_context(_stop_signals())
        keeper = _Keeper(spec, place, connect, signals)
        try:
            return keeper.run(door, ready)
        finally:
            keeper.close()


class _Stopped(Exception):
    """A signal asked for the end."""


class _Keeper:
    def __init__(
        self,
        spec: MountSpec,
        place: Path,
        connect: Callable[[], socket.socket],
        signals: socket.socket,
    ) -> None:
        self._spec = spec
        self._place = place
        self._signals = signals
        self._doors = Doors(connect)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._worker = _start_worker(theirs)
        self._worker_end = os.pidfd_open(self._worker.pid)
        self._device = spec.device
        self._mounted: Mounted | None = None

    def run(self, door: socket.socket, on_ready: Callable[[], None]) -> int:
        try:
            self._hand_over(door)
            self._await(Showing)
            self._mount()
            self._await(Answering)
            self._tune()
            binds.bind(self._place, self._spec.binds)
            on_ready()
            while True:
                self._step(None)
        except _Stopped:
            self._unmount()
            return 0
        except _WorkerEnded as ended:
            return self._after(ended)

    # --- the start --------------------------------------------------------------------------

    def _await(self, kind: type[Showing | Answering]) -> None:
        deadline = time.monotonic() + _START
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise AgentUnreachable(
                    f"the mount of {self._spec.dataset} did not get ready in {_START:g} s: "
                    "the agent answers, but shows no snapshot"
                )
            try:
                if isinstance(self._step(left), kind):
                    return
            except _WorkerEnded as ended:
                raise EnvironmentUnfit(
                    f"the mount's worker ended before it was ready ({ended.how}); "
                    "the reason stands in its log"
                ) from None

    def _mount(self) -> None:
        if self._device is None:
            spec = self._spec
            self._device = mount(self._place, spec.dataset, allow_other=spec.allow_other)
            self._mounted = mount_at(self._place)
        request = self._first_request(self._device)
        if not is_init(request):
            raise EnvironmentUnfit("the kernel did not begin with FUSE_INIT")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                ours.send(request)
                serve = encode(Serve(os.getuid(), os.getgid()))
                socket.send_fds(self._control, [serve], [theirs.fileno(), self._device])
            ours.settimeout(_START)
            answer = parse_answer(ours.recv(READ_BUFFER))
        if answer.error:
            raise EnvironmentUnfit(f"libfuse and this kernel differ: {os.strerror(answer.error)}")
        os.write(self._device, raise_limits(answer.data))

    @staticmethod
    def _first_request(device: int) -> bytes:
        try:
            return os.read(device, READ_BUFFER)
        except OSError as error:
            # EPERM: it was opened and not mounted. ENODEV: it was unmounted meanwhile.
            raise EnvironmentUnfit(f"the device is not mounted: {error.strerror}") from error

    def _tune(self) -> None:
        """Raise the mount's readahead. The kernel lowers it to what FUSE_INIT said, so after it."""
        if self._mounted is None:
            return
        setting = Path("/sys/class/bdi") / self._mounted.bdi / "read_ahead_kb"
        try:
            setting.write_text(str(self._spec.readahead >> 10))
        except OSError as error:
            log.info("the kernel's readahead stays as it is", setting=str(setting), why=str(error))

    # --- the wait ---------------------------------------------------------------------------

    def _step(self, timeout: float | None) -> object:
        """Wait for one thing, and deal with it; gives the worker's message if it was one."""
        poll = select.poll()
        sources = (self._signals, self._control, self._doors)
        for source in (*sources, self._worker_end):
            poll.register(source, select.POLLIN)
        ready = {number for number, _ in poll.poll(None if timeout is None else timeout * 1000)}
        if self._signals.fileno() in ready:
            log.info("stopping", signal=signal.Signals(self._signals.recv(1)[0]).name)
            raise _Stopped
        if self._doors.fileno() in ready:
            self._hand_over(self._doors.get())
        if self._control.fileno() in ready:
            return self._on_message()
        if self._worker_end in ready:
            raise _WorkerEnded(self._worker.wait())
        return None

    def _on_message(self) -> object:
        packet = receive_now(self._control)
        if packet is None:
            raise _WorkerEnded(self._worker.wait())
        message = decode_from_worker(packet.data)
        if isinstance(message, DoorLost):
            self._doors.bring()
        return message

    def _hand_over(self, door: socket.socket) -> None:
        with door, contextlib.suppress(ConnectionError):
            socket.send_fds(self._control, [encode(NewDoor())], [door.fileno()])

    # --- the end ----------------------------------------------------------------------------

    def _after(self, ended: "_WorkerEnded") -> int:
        if ended.code == 0 and not self._is_ours():
            log.info("unmounted", mountpoint=str(self._place))
            return 0
        log.error("the mount's worker died: unmounting", how=ended.how, mountpoint=str(self._place))
        self._unmount()
        return 1

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
        self._control.close()  # the worker ends when its keeper is gone
        try:
            self._worker.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._worker.kill()
            self._worker.wait()
        os.close(self._worker_end)
        if self._device is not None:
            os.close(self._device)  # the last one: the kernel ends what still waits


class _WorkerEnded(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    @property
    def how(self) -> str:
        return f"signal {-self.code}" if self.code < 0 else f"exit code {self.code}"


def _start_worker(control: socket.socket) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", "meshcache.fuse.worker"]
    command += ["--control", str(control.fileno())]
    # Its own session: Ctrl-C is for the keeper.
    return subprocess.Popen(
        command, pass_fds=[control.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
    )


@contextlib.contextmanager
def _stop_signals() -> Iterator[socket.socket]:
    """A socket on which each signal that asks for the end arrives as a byte: its number."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS}
    try:
        with ours, theirs:
            yield ours
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
