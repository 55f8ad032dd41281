"""A FUSE device that somebody privileged has opened, and mounted where it is to be seen.

So the mount can be served without any privilege: by a sidecar that is given the descriptor at its
start (``/dev/fd/N``, as libfuse has it) or over a Unix socket (SCM_RIGHTS), as CSI drivers do.
The mount belongs to who made it; when the last holder of the device is gone, the kernel ends it.
"""

import os
import re
import socket
import stat
import time
from pathlib import Path

from meshcache.errors import EnvironmentUnfit, InvalidInput

_DEVICE = (10, 229)
"""Major and minor of /dev/fuse (Documentation/admin-guide/devices.txt)."""

_DESCRIPTOR = re.compile(r"/dev/fd/(\d{1,9})")


def is_descriptor(path: Path) -> bool:
    """Whether this names a descriptor instead of a mountpoint."""
    return _DESCRIPTOR.fullmatch(str(path)) is not None


def from_descriptor(path: Path) -> int:
    """The device that this process was started with as ``/dev/fd/N``.

    Raises:
        InvalidInput: it is not open, or no FUSE device.
    """
    match = _DESCRIPTOR.fullmatch(str(path))
    assert match is not None, "asked by is_descriptor before"
    number = int(match[1])
    try:
        os.set_inheritable(number, False)
    except OSError:
        raise InvalidInput(f"{path} is not open: hand the mounted device down by it") from None
    return _checked(number, str(path))


def from_socket(path: Path, *, within: float) -> int:
    """The device that is sent, with a message of any content, to who connects to this socket.

    Raises:
        EnvironmentUnfit: nobody listened there, or sent a FUSE device, in so many seconds.
    """
    deadline = time.monotonic() + within
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        while True:
            try:
                connection.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if time.monotonic() >= deadline:
                    raise EnvironmentUnfit(
                        f"nobody listens on {path}, where the device was to come from"
                    ) from error
                time.sleep(0.05)
            except OSError as error:
                raise EnvironmentUnfit(f"{path}: {error.strerror or error}") from error
        connection.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            _, files, _, _ = socket.recv_fds(connection, 65536, 4)
        except OSError as error:
            raise EnvironmentUnfit(f"no device came over {path}: {error}") from error
    for surplus in files[1:]:
        os.close(surplus)
    if not files:
        raise EnvironmentUnfit(f"a message without a device came over {path}")
    os.set_inheritable(files[0], False)
    return _checked(files[0], str(path))


def _checked(number: int, where: str) -> int:
    found = os.fstat(number)
    device = (os.major(found.st_rdev), os.minor(found.st_rdev))
    if not stat.S_ISCHR(found.st_mode) or device != _DEVICE:
        raise InvalidInput(f"{where} is no FUSE device: open /dev/fuse and mount it")
    return number
