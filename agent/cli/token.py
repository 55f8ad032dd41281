"""``meshcache token``: a bearer for curl."""

from typing import Annotated

import typer

from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.units import parse_duration


@asks_agent
def token(
    target: Target,
    dataset: Annotated[str, typer.Option("--dataset", metavar="NAME", help="What it may read.")],
    ttl: Annotated[str, typer.Option("--ttl", metavar="TIME", help="For how long.")] = "1h",
) -> None:
    """Print a token that may read the files of one dataset, and nothing else.

    curl -H "Authorization: Bearer $(meshcache token --dataset NAME)"
    http://HOST:7440/v1/datasets/NAME/files/PATH

    It cannot be taken back before its time is over.
    """
    seconds = parse_duration(ttl)
    print(ask(target, lambda client: client.mint_token(dataset, seconds))["token"])
