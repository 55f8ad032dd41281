"""Which agent a command asks: ``--socket``, ``--agent`` and ``--mesh-key-file``, on every command.

A flag wins over the environment, one after the command over one before it. Of the environment's
two, MESHCACHE_AGENT wins: MESHCACHE_SOCKET is set for good in an agent's own container.
"""

import functools
import inspect
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from meshcache.agent.paths import default_socket
from meshcache.errors import InvalidInput

if TYPE_CHECKING:
    from meshcache.agent.client import AgentClient

T = TypeVar("T")

SocketOption = Annotated[
    Path | None,
    typer.Option(
        "--socket",
        metavar="PATH",
        help="The Unix socket of an agent on this machine (env MESHCACHE_SOCKET).",
    ),
]
AgentOption = Annotated[
    str | None,
    typer.Option(
        "--agent",
        metavar="URL",
        help="Any agent of the mesh, by http://HOST:PORT (env MESHCACHE_AGENT).",
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--mesh-key-file",
        metavar="FILE",
        help="The mesh key, to prove to --agent (env MESHCACHE_MESH_KEY_FILE).",
    ),
]


@dataclass(frozen=True)
class Target:
    """An agent to ask; what was not said is None."""

    socket: Path | None = None
    address: str | None = None
    mesh_key_file: Path | None = None

    def client(self) -> "AgentClient":
        """A client for it.

        Raises:
            InvalidInput: the address or the key file cannot be read.
        """
        from meshcache.agent.cli.output import warn
        from meshcache.agent.client import AgentClient
        from meshcache.agent.trust import meshkey

        if self.address is None:
            return AgentClient(socket=self.socket)
        key = meshkey.load(self.mesh_key_file, warn)[0] if self.mesh_key_file else None
        return AgentClient(address=self.address, mesh_key=key)


def choose(given: Target, before: Target | None) -> Target:
    """The agent to ask, from the flags after the command, those before it, and the environment.

    Raises:
        InvalidInput: both a socket and an address were given.
    """
    before = before or Target()
    key = given.mesh_key_file or before.mesh_key_file or _path("MESHCACHE_MESH_KEY_FILE")
    for flags in (given, before):
        if flags.socket and flags.address:
            raise InvalidInput("--socket and --agent name two agents: give one of them")
        if flags.socket or flags.address:
            return Target(flags.socket, flags.address, key)
    if address := os.environ.get("MESHCACHE_AGENT"):
        return Target(None, address, key)
    return Target(_path("MESHCACHE_SOCKET") or default_socket(), None, key)


def asks_agent(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the three options; it gets them as one argument, `target`."""

    @functools.wraps(command)
    def wrapper(
        *args: Any,
        ctx: typer.Context,
        socket: Path | None,
        agent: str | None,
        mesh_key_file: Path | None,
        **more: Any,
    ) -> T:
        target = choose(Target(socket, agent, mesh_key_file), ctx.obj)
        return command(*args, target=target, **more)

    signature = inspect.signature(command, eval_str=True)
    kinds = {"ctx": typer.Context, "socket": SocketOption, "agent": AgentOption}
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=kind,
            default=inspect.Parameter.empty if name == "ctx" else None,
        )
        for name, kind in (kinds | {"mesh_key_file": KeyOption}).items()
    ]
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.name != "target"
    ]
    wrapper.__signature__ = signature.replace(parameters=own + added)  # type: ignore[attr-defined]
    return wrapper


def ask(target: Target, question: Callable[["AgentClient"], Awaitable[T]]) -> T:
    """Ask the agent one thing, and wait for it."""
    import asyncio

    async def asking() -> T:
        async with target.client() as client:
            return await question(client)

    return asyncio.run(asking())


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None
