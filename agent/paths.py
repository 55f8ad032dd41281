"""Where things stand on this machine unless told otherwise. Light: every command needs it."""

import os
from collections.abc import Mapping
from pathlib import Path

SYSTEM_SOCKET = Path("/run/meshcache/agent.sock")
SYSTEM_CACHE = Path("/var/cache/meshcache")


def default_socket(environ: Mapping[str, str] = os.environ) -> Path:
    """``/run/meshcache/agent.sock`` where it is or can be made, else the user's own runtime folder.

    A user finds the system's agent when there is one; without, ``$XDG_RUNTIME_DIR/meshcache``, or
    a folder of the user's own in /tmp where that is not set.
    """
    run = SYSTEM_SOCKET.parent
    if SYSTEM_SOCKET.exists() or os.access(run if run.exists() else run.parent, os.W_OK):
        return SYSTEM_SOCKET
    runtime = environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "meshcache" if runtime else Path(f"/tmp/meshcache-{os.getuid()}")
    return folder / "agent.sock"


def default_cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """``/var/cache/meshcache`` for root, else ``meshcache`` in the user's cache folder."""
    if os.geteuid() == 0:
        return SYSTEM_CACHE
    cache = environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "meshcache"
