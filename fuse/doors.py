"""Bringing a mount new doors to the agent, for as long as it takes.

Connecting may wait, and the keeper may not: a signal must end it at once. So a thread looks for the
door, and the keeper sees by a descriptor that one is there.
"""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping

import structlog

log = structlog.get_logger("meshcache.fuse.keeper")

Connect = Callable[[Mapping[str, int]], socket.socket]
"""Gives a connected door, for a mount that has shown these snapshots: id -> bytes."""

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 0.5
"""Seconds between two attempts: doubled each time, up to the last."""

_LASTING = 5.0
"""Seconds after which a door is taken for one that works: the pauses begin small again."""


class Doors:
    """Looks for doors, on demand; readable (`fileno`) when there is one to `get`."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._ready, self._wake = socket.socketpair()
        self._brought: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._pause = 0.0
        self._brought_at = -_LASTING

    def fileno(self) -> int:
        return self._ready.fileno()

    def bring(self, shown: Mapping[str, int]) -> None:
        """Begin to look for a door, for a mount that has shown these snapshots."""
        if time.monotonic() - self._brought_at >= _LASTING:
            self._pause = 0.0
        threading.Thread(target=self._look, args=[shown], daemon=True, name="bring a door").start()

    def _look(self, shown: Mapping[str, int]) -> None:
        while not self._stop.wait(self._pause):
            self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LAST_PAUSE)
            try:
                door = self._connect(shown)
            except Exception as error:
                # Also what connect should not raise: this thread is the mount's only way back.
                log.info("no new door to the agent yet", why=str(error), again_in=self._pause)
                continue
            self._brought_at = time.monotonic()
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
