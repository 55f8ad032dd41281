"""``meshcache members``: who is in the mesh."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from meshcache.agent.cli.output import Column, Format, FormatOption, print_list
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.errors import InvalidInput
from meshcache.units import format_age, format_size


class Status(StrEnum):
    """How a member is seen."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    FAILED = "failed"
    LEFT = "left"


class Role(StrEnum):
    """What a member is for."""

    CACHE = "cache"
    GUEST = "guest"


def _role(member: Mapping[str, Any]) -> str:
    return (member["role"] or "-") + (" (leaf)" if member.get("leaf") else "")


def _round_trip(member: Mapping[str, Any]) -> str:
    seconds = member.get("round_trip")
    return "-" if seconds is None else f"{seconds * 1000:.1f}ms"


def _seen_by(member: Mapping[str, Any]) -> str:
    observers, accusers = len(member.get("observers", ())), member.get("accusers", ())
    if not observers:
        return "-"
    missing = f" (not {', '.join(accusers)})" if accusers else ""
    return f"{observers - len(accusers)}/{observers}{missing}"


COLUMNS = (
    Column("NAME", lambda member: member["name"]),
    Column("ADDRESS", lambda member: member["address"] or "-"),
    Column("STATE", lambda member: member["state"]),
    Column("ROLE", _role),
    Column("ZONE", lambda member: member["zone"] or "-"),
    Column("CAPACITY", lambda member: format_size(member["capacity"])),
    Column("AGE", lambda member: format_age(member["age"])),
    Column("ROUND TRIP", _round_trip, wide=True),
    Column("SEEN BY", _seen_by, wide=True),
    Column("GOSSIP", lambda member: member["gossip"], wide=True),
    Column("VERSION", lambda member: member["version"] or "-", wide=True),
    Column("INCARNATION", lambda member: str(member["incarnation"]), wide=True),
    Column("UID", lambda member: member["uid"], wide=True),
)


@asks_agent
def members(
    target: Target,
    status: Annotated[
        list[Status] | None, typer.Option(help="Only members in this state; repeatable.")
    ] = None,
    role: Annotated[
        list[Role] | None, typer.Option(help="Only members of this role; repeatable.")
    ] = None,
    zone: Annotated[
        list[str] | None, typer.Option(metavar="ZONE", help="Only of this zone; repeatable.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Only those whose whole name this matches."),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List the members of the mesh, as the agent knows them.

    AGE is how long a member has been in its state: alive, suspect, failed or left. SEEN BY (wide)
    is how many of its observers see it. A guest that is a leaf is only known to the members that
    serve it.
    """
    try:
        wanted = re.compile(name or ".*", re.DOTALL)
    except re.error as error:
        raise InvalidInput(f"--name {name!r} is no regular expression: {error}") from error
    rows = [
        row
        for row in ask(target, lambda client: client.members())
        if (not status or row["state"] in status)
        and (not role or row["role"] in role)
        and (not zone or row["zone"] in zone)
        and wanted.fullmatch(row["name"])
    ]
    print_list(rows, COLUMNS, output, "no members")
