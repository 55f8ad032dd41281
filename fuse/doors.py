"""Bringing a mount new doors to the agent, for as long as it takes.

Connecting may wait, and the keeper may not: a signal must end it at once. So a thread looks for the
door, and the keeper sees by a descriptor that one is there.
"""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger("meshcache.fuse.keeper")

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 2.0
"""Seconds between two attempts: doubled each time, up to the last."""


class Doors:
    """Looks for doors, on demand; readable (`fileno`) when there is one to `get`."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._ready, self._wake = socket.socketpair()
        self._brought: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def fileno(self) -> int:
        return self._ready.fileno()

    def bring(self) -> None:
        """Begin to look for a door."""
        self._thread = threading.Thread(target=self._look, daemon=True, name="bring a door")
        self._thread.start()

    def _look(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stop.is_set():
            try:
                door = self._connect()
            except Exception as error:
                # Also what connect should not raise: this thread is the mount's only way back.
                log.info("no new door to the agent yet", why=str(error), again_in=pause)
                self._stop.wait(pause)
                pause = min(2 * pause, _LAST_PAUSE)
                continue
            self._brought.put(door)
            with contextlib.suppress(OSError):
                self._wake.send(b"!")
            return

    def get(self) -> socket.socket:
        """A door that was brought."""
        self._ready.recv(1)
        return self._brought.get_nowait()

    def close(self) -> None:
        self._stop.set()
        self._wake.close()
        self._ready.close()
        with contextlib.suppress(queue.Empty):
            while True:
                self._brought.get_nowait().close()
