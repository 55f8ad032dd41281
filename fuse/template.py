"""A process that has loaded all that a worker needs, and from which workers are forked:
``python -m meshcache.fuse.template --control N``.

A worker so begins in milliseconds, however busy the machine is, and shares its memory with the
template. The template has no thread, no event loop and none of a mount's files; it waits for the
keeper's word and for the ends of its children.
"""

import argparse
import contextlib
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from meshcache import __version__
from meshcache.fuse.messages import Ended, Fork, Forked, decode_to_template, encode
from meshcache.fuse.packets import receive_now

_GRACE = 1.0
"""Seconds that workers have to end by themselves when their keeper is gone."""


class _Template:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, int] = {}
        """pidfd -> process id."""

    def run(self) -> int | None:
        """Fork as long as the keeper lives; gives None there, and in a child its control socket."""
        while True:
            for ready in self._wait():
                if ready in self._children:
                    self._reap(ready)
                    continue
                packet = receive_now(self._control)
                if packet is None:
                    self._end()
                    return None
                message = decode_to_template(packet.data)
                assert isinstance(message, Fork)
                if (control := self._fork(packet.files[0])) is not None:
                    return control

    def _wait(self) -> list[int]:
        poll = select.poll()
        for file in (self._control.fileno(), *self._children):
            poll.register(file, select.POLLIN)
        return [number for number, _ in poll.poll()]

    def _fork(self, control: int) -> int | None:
        pid = os.fork()
        if pid == 0:
            self._control.close()
            for child in self._children:
                os.close(child)
            return control
        os.close(control)
        file = os.pidfd_open(pid)
        self._children[file] = pid
        self._say(Forked(pid, __version__), file)
        return None

    def _reap(self, child: int) -> None:
        pid = self._children.pop(child)
        os.close(child)
        _, status = os.waitpid(pid, 0)
        self._say(Ended(pid, os.waitstatus_to_exitcode(status)))

    def _say(self, message: object, *files: int) -> None:
        with contextlib.suppress(ConnectionError):
            socket.send_fds(self._control, [encode(message)], list(files))

    def _end(self) -> None:
        """The keeper is gone. Its workers end by themselves, unless they hang."""
        poll = select.poll()
        for child in self._children:
            poll.register(child, select.POLLIN)
        while self._children and (ended := poll.poll(_GRACE * 1000)):
            for child, _ in ended:
                poll.unregister(child)
                os.waitpid(self._children.pop(child), 0)
        for child, pid in self._children.items():
            signal.pidfd_send_signal(child, signal.SIGKILL)
            os.waitpid(pid, 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a template, and in each child a worker; gives the exit code."""
    parser = argparse.ArgumentParser("meshcache.fuse.template")
    parser.add_argument("--control", type=int, required=True, help="descriptor of the keeper's")
    options = parser.parse_args(arguments)
    # Ctrl-C and a stopped pod reach the whole group: the keeper unmounts, the rest waits for it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # numpy's threads would not be there in a child.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from meshcache.fuse import worker

    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    assert threads == 1, f"{threads} threads: a fork would lose all but one"
    worker.prepare()
    confined = worker.confine(os.getppid())
    # What was made by now is there to stay; looking at it would copy it in every child.
    gc.collect()
    gc.freeze()
    control = _Template(socket.socket(fileno=options.control)).run()
    code = 0 if control is None else worker.run(socket.socket(fileno=control), confined)
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    # Not sys.exit: a thread may still be in the kernel, populating a mapping or taking a name
    # back, and the interpreter would wait for it.
    os._exit(main())
