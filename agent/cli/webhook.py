"""``meshcache webhook``: have Kubernetes give datasets to pods that ask for them."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from meshcache.agent.cli import exits
from meshcache.agent.cli.target import choose
from meshcache.errors import AgentUnreachable, InvalidInput


def webhook(
    ctx: typer.Context,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where the API server finds it, by HTTPS.")
    ],
    tls_cert: Annotated[
        Path, typer.Option(metavar="FILE", help="Its certificate; read again when it changes.")
    ],
    tls_key: Annotated[Path, typer.Option(metavar="FILE", help="The certificate's key.")],
    client_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Answer only callers with a certificate of this CA: the API server's.",
        ),
    ] = None,
    trust_callers: Annotated[
        bool,
        typer.Option(
            "--trust-callers",
            help="Whoever asks is the API server, for the network lets nobody else ask. Without "
            "this or --client-ca, datasets that are for some namespaces alone are given to nobody.",
        ),
    ] = False,
    dataset: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A dataset, beside those that the mesh knows."),
    ] = None,
    socket: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The agent to ask for datasets (env MESHCACHE_SOCKET)."),
    ] = None,
    mesh_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The mesh key, to make the pods' guest keys of; read again when it changes "
            "(env MESHCACHE_MESH_KEY_FILE).",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A YAML file that says how sidecars are made."),
    ] = None,
) -> int:
    """Answer a Kubernetes API server's AdmissionReviews: POST /mutate, GET /healthz and /readyz.

    A pod with the label meshcache.io/inject: "true" whose PVC has a dataset's name, or with the
    annotation meshcache.io/datasets: NAME:/PATH, gets a sidecar that mounts the dataset.
    """
    from meshcache.agent import logs
    from meshcache.agent.address import HostPort
    from meshcache.agent.cli.output import warn
    from meshcache.agent.cli.target import Target
    from meshcache.agent.client import AgentClient
    from meshcache.agent.webhook import renewed, server, settings

    logs.configure("info")
    where = HostPort.parse(listen)
    sidecars = settings.load(config)
    certificate = renewed.Certificate(tls_cert, tls_key, client_ca)
    target = choose(Target(socket, None, mesh_key_file), ctx.obj)
    if target.mesh_key_file is None:
        warn("no --mesh-key-file: the sidecars get no key, and join only if their own settings do")
    keys = renewed.GuestKeys(target.mesh_key_file)
    if target.address is not None:
        raise InvalidInput("the webhook asks an agent on this machine: give --socket, not --agent")

    async def datasets() -> list[dict[str, Any]]:
        async with AgentClient(socket=target.socket) as client:
            if not await client.ready():
                raise AgentUnreachable("the agent is starting or ending")
            return await client.datasets()

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        asks_mesh = target.socket is not None and (socket is not None or target.socket.exists())
        known = server.Known(
            dataset or [],
            datasets if asks_mesh else None,
            callers_known=trust_callers or client_ca is not None,
        )

        def ready(bound: HostPort) -> None:
            print(f"meshcache webhook is ready: https://{bound}/mutate", file=sys.stderr)

        await server.run(where, certificate, sidecars, known, keys, stop=stop, on_ready=ready)

    asyncio.run(serve())
    return exits.OK
