"""The sockets that an agent is asked over, and the server behind each."""

import errno
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from meshcache.agent.address import HostPort
from meshcache.errors import EnvironmentUnfit


def listen(where: HostPort) -> socket.socket:
    """A TCP socket.

    Raises:
        EnvironmentUnfit: the address is not this machine's, or taken.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind)
    except OSError as error:
        raise EnvironmentUnfit(f"cannot listen on {where}: {error.strerror}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise EnvironmentUnfit(
                f"port {where.port} on {where.host} is taken: give another by --listen HOST:PORT"
            ) from error
        raise EnvironmentUnfit(f"cannot listen on {where}: {error.strerror}") from error
    return listening


def listen_unix(path: Path) -> socket.socket:
    """The control socket. Its permissions are the access control, so it is made with the right
    ones: between bind and chmod a stranger could connect.

    Raises:
        EnvironmentUnfit: it cannot be made, or another agent listens there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_stale(path)
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            control.bind(str(path))
        finally:
            os.umask(mask)
        control.listen(256)
        control.setblocking(False)
    except OSError as error:
        raise EnvironmentUnfit(
            f"cannot make the socket {path}: {error.strerror or error}; give another by --socket"
        ) from error
    return control


def _clear_stale(path: Path) -> None:
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise EnvironmentUnfit(f"{path} is there and is no socket: give another by --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise EnvironmentUnfit(f"another agent listens on {path}: give this one its own --socket")


def remove_socket(path: Path) -> None:
    """Take the control socket away. Fine if it is gone."""
    path.unlink(missing_ok=True)


@asynccontextmanager
async def serving(app: web.Application, listening: socket.socket) -> AsyncIterator[None]:
    """Serve an app on a socket until the block ends; what is asked then has a second."""
    runner = web.AppRunner(
        app, handle_signals=False, access_log=None, shutdown_timeout=1.0, keepalive_timeout=75
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening, backlog=1024).start()
        yield
    finally:
        await runner.cleanup()
