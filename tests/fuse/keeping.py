"""A keeper in a process of its own: ``python -m tests.fuse.keeping SOCKET MOUNTPOINT``.

Writes ``ready`` to standard output when the mount answers, as the command line does, and one line
to standard error when it cannot.
"""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog

from meshcache.errors import MeshcacheError
from meshcache.fuse.keeper import MountSpec, keep


def main() -> int:
    door_path, mountpoint = sys.argv[1], Path(sys.argv[2])
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

    def connect(shown: Mapping[str, int]) -> socket.socket:
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            door.connect(door_path)
        except OSError:
            door.close()
            raise
        return door

    try:
        return keep(
            MountSpec("models", mountpoint, resend="--no-resend" not in sys.argv),
            connect,
            lambda: print("ready", flush=True),
        )
    except MeshcacheError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
