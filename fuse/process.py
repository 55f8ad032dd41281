"""The processes of a mount as its keeper sees them: the template, and the workers made from it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog

from meshcache.errors import EnvironmentUnfit
from meshcache.fuse.handshake import READ_BUFFER, parse_answer
from meshcache.fuse.messages import (
    Ended,
    Fork,
    Forked,
    FromWorker,
    Serve,
    decode_from_template,
    decode_from_worker,
    encode,
)
from meshcache.fuse.packets import receive_now

log = structlog.get_logger("meshcache.fuse.keeper")

_GRACE = 2.5
"""Seconds for the template and its workers to end once the keeper has closed their sockets."""

_STOPS_WITHIN, _STOPPED_EVERY = 0.05, 0.0001
"""Seconds for a worker to stand still when it is told to, and between two looks whether it does. It
takes microseconds, unless it waits for a disk: then it reads no request either."""

_MODULE = "meshcache.fuse.template"


class WorkerProcess:
    """One worker, from its start to its end.

    Readable are `control`, when it has something to say or has ended, and `first`, when it has
    answered FUSE_INIT.
    """

    def __init__(self) -> None:
        self.control, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.first: socket.socket | None = None
        self.pid = 0
        """0 until the template has said it."""
        self.version = ""
        self.left = False
        """Whether it has said that it ends."""
        self._process: int | None = None
        self._condemned = False

    def send(self, message: object, files: Sequence[int] = ()) -> None:
        """Say something; the descriptors stay the caller's. To one that has ended or was
        let go, or does not listen, it is lost."""
        if self.control.fileno() < 0:
            return
        with contextlib.suppress(ConnectionError, BlockingIOError):
            socket.send_fds(self.control, [encode(message)], list(files), socket.MSG_DONTWAIT)

    def receive(self) -> tuple[FromWorker, tuple[int, ...]] | None:
        """What it said; None when it has ended.

        Raises:
            ValueError: it is nothing that this keeper knows.
        """
        packet = receive_now(self.control)
        if packet is None:
            return None
        try:
            return decode_from_worker(packet.data), packet.files
        except ValueError:
            for file in packet.files:
                os.close(file)
            raise

    def introduce(self, init: bytes, terms: Serve) -> socket.socket:
        """Play the kernel's first request to it; gives the socket of its answer, `first`."""
        self.first, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.first.send(init)
            self.send(terms, [theirs.fileno()])
        return self.first

    def first_answer(self) -> bytes:
        """Its answer to the first request.

        Raises:
            EnvironmentUnfit: libfuse does not want to work with this kernel, or gave no answer.
        """
        assert self.first is not None
        with self.first:
            try:
                answer = parse_answer(self.first.recv(READ_BUFFER))
            except (OSError, ValueError) as error:
                raise EnvironmentUnfit(f"a worker did not answer FUSE_INIT: {error}") from error
        self.first = None
        if answer.error:
            raise EnvironmentUnfit(f"libfuse and this kernel differ: {os.strerror(answer.error)}")
        return answer.data

    def born(self, pid: int, process: int, version: str) -> None:
        """It is there, with this process id and pidfd, and is of this version of the program."""
        self.pid, self._process, self.version = pid, process, version
        if self._condemned:
            self.kill()
        if self.control.fileno() < 0:  # it was let go before
            self.close()

    def kill(self) -> None:
        """End it at once, or as soon as it is there."""
        self._condemned = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, number)

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """While it lasts, the process does nothing: it reads no request, above all."""
        self._signal(signal.SIGSTOP)
        try:
            until = time.monotonic() + _STOPS_WITHIN
            while time.monotonic() < until and self._runs:
                time.sleep(_STOPPED_EVERY)
            yield
        finally:
            self._signal(signal.SIGCONT)

    @property
    def _runs(self) -> bool:
        """proc_pid_stat(5): whether its first thread, the one that reads requests, may go on."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state not in "TtZX"

    def close(self) -> None:
        """Let it go: a worker without its keeper ends."""
        self.control.close()
        self._theirs.close()
        if self.first is not None:
            self.first.close()
        if self._process is not None:
            os.close(self._process)
            self._process = None

    def hand_out(self) -> socket.socket:
        """The other end of `control`, to be closed by who has passed it on."""
        return self._theirs


class Template:
    """The process that workers are forked from. Readable is `control`."""

    def __init__(self, on_ended: Callable[[int, int], None]) -> None:
        """Start it; `on_ended` is told the process ids and exit codes of workers that ended."""
        self._on_ended = on_ended
        self._asked: deque[WorkerProcess] = deque()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-P", "-m", _MODULE, "--control", str(theirs.fileno())]
        with theirs:
            # Its own session: Ctrl-C is for the keeper.
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def fork(self) -> WorkerProcess:
        """A new worker. What is said to it at once waits for it."""
        worker = WorkerProcess()
        with worker.hand_out() as theirs, contextlib.suppress(ConnectionError):
            socket.send_fds(self.control, [encode(Fork())], [theirs.fileno()])
            self._asked.append(worker)
        return worker

    def hear(self) -> bool:
        """Take in what it says; False when it has ended."""
        packet = receive_now(self.control)
        if packet is None:
            return False
        match decode_from_template(packet.data):
            case Forked(pid=pid, version=version):
                self._asked.popleft().born(pid, packet.files[0], version)
            case Ended(pid=pid, code=code):
                self._on_ended(pid, code)
        return True

    def kill(self) -> None:
        """End it at once; its workers stay."""
        self._process.kill()

    def close(self, *, at_once: bool = False) -> int:
        """Wait until it and its workers have ended, forcing it if need be or `at_once`; gives its
        exit code. Their sockets are to be closed before."""
        self.control.close()
        if at_once:
            self._process.kill()
        try:
            return self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def check_kernel() -> None:
    """See that workers can be held.

    Raises:
        EnvironmentUnfit: there are no pidfds: without them a signal may meet another process.
    """
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        raise EnvironmentUnfit(
            f"a process cannot be held by a descriptor (pidfd_open: {error.strerror}): mounting "
            "takes Linux 5.3 or newer"
        ) from error


def how(code: int) -> str:
    """How a process with this exit code has ended, in words."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
