"""``meshcache status``: one screen about one agent."""

from collections.abc import Mapping
from typing import Any

from meshcache.agent.cli.output import Column, Format, FormatOption, print_one
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.units import format_age, format_size


def _store(status: Mapping[str, Any]) -> str:
    store = status["store"]
    share = 100 * store["used"] / store["quota"] if store["quota"] else 0.0
    return (
        f"{format_size(store['used'])} of {format_size(store['quota'])} ({share:.1f}%) in "
        f"{store['blocks']} blocks, {store['evictions']} evicted, at {store['path']}"
    )


def _reads(status: Mapping[str, Any]) -> str:
    reads = status["reads"]
    total = sum(reads.values())
    return ", ".join(
        f"{source} {format_size(size)} ({100 * size / total if total else 0:.1f}%)"
        for source, size in reads.items()
    )


def _members(status: Mapping[str, Any]) -> str:
    counts = [f"{count} {state}" for state, count in status["members"].items() if count]
    return ", ".join(counts) or "none"


def _mounts(status: Mapping[str, Any]) -> str:
    mounts = [
        f"{mount['dataset']} at {mount['mountpoint']} (pid {mount['pid']})"
        for mount in status["mounts"]
    ]
    return "\n".join(mounts) or "none"


LINES = (
    Column("Name", lambda status: status["name"]),
    Column("Version", lambda status: status["version"]),
    Column("Role", lambda status: status["role"]),
    Column("Zone", lambda status: status["zone"] or "-"),
    Column("Up", lambda status: format_age(status["uptime"])),
    Column("HTTP", lambda status: status["address"]),
    Column("Gossip", lambda status: status["gossip"]),
    Column("Socket", lambda status: status["socket"]),
    Column("Members", _members),
    Column("Datasets", lambda status: str(status["datasets"])),
    Column("Store", _store),
    Column("Bytes read from", _reads),
    Column("Mounts", _mounts),
    Column("Uid", lambda status: status["uid"], wide=True),
)


@asks_agent
def status(target: Target, output: FormatOption = Format.TABLE) -> None:
    """Show how the agent is: its mesh, its store, where its reads came from, its mounts."""
    print_one(ask(target, lambda client: client.status()), LINES, output)
