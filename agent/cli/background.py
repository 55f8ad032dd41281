"""Going on in the background: the rest of a command in a process of its own.

The process is forked, not started anew: what is imported by now need not be imported again, which
is most of what it takes to be ready. Nothing of a command has threads or a loop before it is.
"""

import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

from meshcache.agent.cli import exits
from meshcache.errors import InvalidInput

READY = b"ready"


class Waited(NamedTuple):
    """In the process that forked: the other one is ready, or has ended."""

    code: int
    """What to exit with."""


def go_on(log_file: Path) -> int | Waited:
    """Go on in a process without a terminal, whose stderr is the log file.

    Returns:
        In that process a descriptor: write `READY` to it, and close it, once all is well. In the
        first process `Waited`, then; or after the other has ended, and its last line was said.

    Raises:
        InvalidInput: the log file cannot be written.
    """
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        log = log_file.open("ab")
    except OSError as error:
        raise InvalidInput(f"log file {log_file}: {error.strerror}") from error
    with log:
        start = log.seek(0, os.SEEK_END)
        answer, ready = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(answer)
            # Of a session of its own: Ctrl-C and a closed terminal are not for it.
            os.setsid()
            os.chdir("/")
            with Path(os.devnull).open("r+b") as nothing:
                os.dup2(nothing.fileno(), 0)
                os.dup2(nothing.fileno(), 1)
            os.dup2(log.fileno(), 2)
            log.close()
            _close_all_but(ready)
            return ready
    os.close(ready)
    return Waited(_wait(pid, answer, log_file, start))


def _close_all_but(kept: int) -> None:
    """Let go what was handed down by who started the command; all else is opened later. Who waits
    for the end of such a pipe would wait as long as the mount stands: a child of uvloop's has its
    output under other numbers, too."""
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


def _wait(pid: int, answer: int, log_file: Path, start: int) -> int:
    with os.fdopen(answer, "rb") as waiting:
        try:
            said = waiting.read()
        except KeyboardInterrupt:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
            raise
    if said == READY:
        return exits.OK
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(_last_line(log_file, start), file=sys.stderr)
    return code if code > 0 else exits.FAILED


def _last_line(log_file: Path, start: int) -> str:
    """What the process said at its end."""
    with log_file.open("rb") as log:
        log.seek(start)
        lines = log.read().decode("utf-8", "replace").splitlines()
    own = [line for line in lines if line.startswith("meshcache: ")]
    return own[-1] if own else f"meshcache: the mount ended before it was ready: see {log_file}"
