"""The keeper's hold of the door: kept open for the next worker, and used to say how it stands."""

import contextlib
import socket

from meshcache.fuse.messages import NewDoor, Report, encode
from meshcache.fuse.process import WorkerProcess


class AgentLine:
    """The door of a mount, whenever there is one."""

    def __init__(self) -> None:
        self._door: socket.socket | None = None

    def use(self, door: socket.socket) -> None:
        """Take over a new door."""
        self.close()
        self._door = door

    def give(self, worker: WorkerProcess) -> None:
        """Let a worker speak over it."""
        if self._door is not None:
            worker.send(NewDoor(), [self._door.fileno()])

    def tell(self, report: Report) -> None:
        """Say how the workers are. The agent may be gone, or busy: this is worth no wait."""
        if self._door is not None:
            with contextlib.suppress(OSError):
                self._door.send(encode(report), socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Let go of the door, if there is one."""
        if self._door is not None:
            self._door.close()
            self._door = None
