"""A keeper in a process of its own: ``python -m tests.fuse.keeping SOCKET MOUNTPOINT``.

Writes ``ready`` to standard output when the mount answers, as the command line does, and one line
to standard error when it cannot.
"""

import argparse
import errno
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog

from meshcache.errors import MeshcacheError
from meshcache.fuse.keeper import MountSpec, keep


def main() -> int:
    parser = argparse.ArgumentParser("tests.fuse.keeping")
    parser.add_argument("door")
    parser.add_argument("mountpoint", type=Path)
    parser.add_argument("--no-resend", dest="resend", action="store_false")
    parser.add_argument("--deadline", type=float, default=20.0)
    parser.add_argument("--too-late", type=int, default=errno.ETIMEDOUT)
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

    def connect(shown: Mapping[str, int]) -> socket.socket:
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            door.connect(options.door)
        except OSError:
            door.close()
            raise
        return door

    spec = MountSpec(
        "models",
        options.mountpoint,
        resend=options.resend,
        deadline=options.deadline,
        too_late=options.too_late,
    )
    try:
        return keep(spec, connect, lambda: print("ready", flush=True))
    except MeshcacheError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
