"""``meshcache status``: one screen about one agent."""

from collections.abc import Mapping
from typing import Any

from meshcache.agent.cli.cached import percentage, size
from meshcache.agent.cli.output import Column, Format, FormatOption, print_list, print_one
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.units import format_age, format_size

_STATES = {
    "serving": "",
    "replacing": "; another worker takes over",
    "slowed": "; its workers die again and again: see the log of `meshcache mount`",
}


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


def _workers(mount: Mapping[str, Any]) -> str:
    workers = mount["workers"]
    said = f"; worker died {workers['restarts']} times" if workers["restarts"] else ""
    return said + _STATES[workers["state"]]


def _mounts(status: Mapping[str, Any]) -> str:
    mounts = [
        f"{mount['dataset']} at {mount['mountpoint']} (pid {mount['pid']}{_workers(mount)})"
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

HELD = (
    Column("DATASET", lambda dataset: dataset["name"]),
    Column("HELD HERE", lambda dataset: size(dataset["held"])),
    Column("PERCENTAGE", lambda dataset: percentage(dataset["percentage"])),
    Column("FROM STORE", lambda dataset: size(dataset["store"])),
    Column("FROM PEERS", lambda dataset: size(dataset["peer"])),
    Column("FROM ORIGIN", lambda dataset: size(dataset["origin"])),
    Column("GIVEN TO PEERS", lambda dataset: size(dataset["given"])),
    Column("ASKED OF ORIGIN", lambda dataset: size(dataset["fetched"])),
)
"""Of this agent alone: what it holds, what its own readers had and where from, and what it gave to
other members' and asked of the origin, for readers as well as by loads."""


@asks_agent
def status(target: Target, output: FormatOption = Format.TABLE) -> None:
    """Show how the agent is: its mesh, its store, its mounts; and for each dataset what it holds
    and where its readers' bytes came from."""
    shown = ask(target, lambda client: client.status())
    print_one(shown, LINES, output)
    if output in (Format.TABLE, Format.WIDE) and shown["held"]:
        print()
        print_list(shown["held"], HELD, output, "")
