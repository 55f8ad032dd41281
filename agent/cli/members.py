"""``meshcache members``: who is in the mesh."""

from meshcache.agent.cli.output import Column, Format, FormatOption, print_list
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.units import format_age, format_size

COLUMNS = (
    Column("NAME", lambda member: member["name"]),
    Column("ADDRESS", lambda member: member["address"] or "-"),
    Column("STATE", lambda member: member["state"]),
    Column("ROLE", lambda member: member["role"] or "-"),
    Column("ZONE", lambda member: member["zone"] or "-"),
    Column("CAPACITY", lambda member: format_size(member["capacity"])),
    Column("AGE", lambda member: format_age(member["age"])),
    Column("GOSSIP", lambda member: member["gossip"], wide=True),
    Column("VERSION", lambda member: member["version"] or "-", wide=True),
    Column("INCARNATION", lambda member: str(member["incarnation"]), wide=True),
    Column("UID", lambda member: member["uid"], wide=True),
)


@asks_agent
def members(target: Target, output: FormatOption = Format.TABLE) -> None:
    """List the members of the mesh, as the agent knows them.

    AGE is how long a member has been in its state: alive, suspect, failed or left.
    """
    rows = ask(target, lambda client: client.members())
    print_list(rows, COLUMNS, output, "no members")
