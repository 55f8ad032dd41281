"""An agent of a mount's own, for where no agent runs: in a serverless pod's sidecar.

It is an `agent --role guest` process with a socket of its own, configured by the environment
(MESHCACHE_JOIN, ...). It is started again when it dies, and ends with the process that has it.
"""

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from meshcache.errors import EnvironmentUnfit

log = structlog.get_logger()

READY_WITHIN = 30.0
"""Seconds for the agent to start: Python's own start on a throttled CPU is most of it."""

END_WITHIN = 1.5
"""Seconds for the agent to leave the mesh; SIGTERM promises 2 for the whole sidecar."""

PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the next start, after one death, two, ...; the last for all that follow."""

SOUND_AFTER = 60.0
"""Seconds that an agent has lived when its death counts as a first one."""


class GuestAgent:
    """The agent's process, kept running. A context manager."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """`environ` configures it; what it does not say is right for a pod."""
        self._environ = environ
        self._folder = tempfile.TemporaryDirectory(prefix="meshcache-guest-")
        self.socket = Path(self._folder.name) / "agent.sock"
        self._ended = threading.Event()
        self._starting = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._keeping = threading.Thread(target=self._keep, daemon=True, name="keep the agent")

    def __enter__(self) -> Self:
        """Start it, and wait until it serves.

        Raises:
            EnvironmentUnfit: it did not start; what it said stands on stderr.
        """
        try:
            process = self._start()
            if not _is_ready(process):
                code = process.wait(END_WITHIN)
                raise EnvironmentUnfit(f"the guest's agent did not start: it ended with {code}")
        except BaseException:
            self._end()
            raise
        self._keeping.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _start(self) -> "subprocess.Popen[str]":
        # Its stdin is what tells it of our end, however that comes.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "meshcache.agent.cli", "agent", *self._flags()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(self._environ),
            start_new_session=True,
        )
        return self._process

    def _flags(self) -> list[str]:
        flags = ["--end-with-stdin", "--role", "guest", "--socket", str(self.socket)]
        if self._environ.get("MESHCACHE_JOIN"):
            # Any port: several guests share a pod's address.
            for flag in ("listen", "gossip"):
                if not self._environ.get(f"MESHCACHE_{flag.upper()}"):
                    flags += [f"--{flag}", ":0"]
        return flags

    def _keep(self) -> None:
        deaths = 0
        while (process := self._process) is not None:
            began = time.monotonic()
            code = process.wait()
            deaths = 1 if time.monotonic() - began > SOUND_AFTER else deaths + 1
            if self._ended.wait(PAUSES[min(deaths, len(PAUSES)) - 1]):
                return
            log.error("the guest's agent died: starting another", code=code)
            _close_pipes(process)
            with self._starting:
                if self._ended.is_set():
                    return
                process = self._start()
            _is_ready(process)

    def _end(self) -> None:
        with self._starting:
            self._ended.set()
            process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(END_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close_pipes(process)
        with contextlib.suppress(OSError):
            self._folder.cleanup()


def _is_ready(process: "subprocess.Popen[str]") -> bool:
    """Whether the agent said that it serves; its stdout holds nothing but that line."""
    assert process.stdout is not None
    return bool(process.stdout.readline())


def _close_pipes(process: "subprocess.Popen[str]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
