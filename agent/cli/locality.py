"""``meshcache locality``: which nodes have the data."""

from typing import Annotated

import typer

from meshcache.agent.cli.cached import percentage, size, tell_answers
from meshcache.agent.cli.output import Column, Format, FormatOption, print_data, print_list
from meshcache.agent.cli.target import Target, ask, asks_agent

COLUMNS = (
    Column("NODE", lambda member: member["name"]),
    Column("ZONE", lambda member: member["zone"] or "-"),
    Column("HELD", lambda member: size(member["bytes"])),
    Column("PERCENTAGE", lambda member: percentage(member["percentage"])),
    Column("ADDRESS", lambda member: member["address"], wide=True),
    Column("STORE", lambda member: member["store"], wide=True),
)


@asks_agent
def locality(
    target: Target,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The dataset.")],
    path: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="A file or directory of the dataset, all of it if not given. Asks every member.",
        ),
    ] = "",
    exact: Annotated[
        bool, typer.Option("--exact", help="Ask every member, and say how many answered.")
    ] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """List the members that hold parts of a dataset, the one that holds most first.

    For schedulers: NODE is the agent's --name. Parts that several hold count for each.
    """
    found = ask(target, lambda client: client.locality(name, path, exact=exact))
    if output in (Format.JSON, Format.YAML):
        print_data(found, output)
        return
    print_list(found["members"], COLUMNS, output, f"no member holds any of {name}")
    tell_answers([found])
