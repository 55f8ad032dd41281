"""``meshcache loads``: the loads of the mesh."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meshcache.agent.cli.output import (
    Column,
    Format,
    FormatOption,
    print_list,
    print_one,
    print_table,
)
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.units import format_age, format_size


def _age(load: Mapping[str, Any]) -> str:
    return format_age(time.time() - load["created"])


def _duration(load: Mapping[str, Any]) -> str:
    return format_age(load["duration"]) if load["duration"] else "-"


def _eta(load: Mapping[str, Any]) -> str:
    return format_age(load["eta"]) if load["eta"] is not None else "-"


def _bytes(load: Mapping[str, Any]) -> str:
    return format_size(load["bytes"])


def _percentage(load: Mapping[str, Any]) -> str:
    return f"{load['percentage']:.1f}%"


def _moment(when: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(when)) if when else "-"


def _when(load: Mapping[str, Any]) -> str:
    after = load["run_after"] and f"after {load['run_after']}"
    return load["schedule"] or after or "now"


NOTHING = "no loads: start one by `meshcache load DATASET`"

COLUMNS = (
    # Fluid's, in its order (NAME, DATASET, PHASE, AGE, DURATION), and ours behind them.
    Column("NAME", lambda load: load["name"]),
    Column("DATASET", lambda load: load["dataset"]),
    Column("PHASE", lambda load: load["phase"]),
    Column("AGE", _age),
    Column("DURATION", _duration),
    Column("BYTES", _bytes),
    Column("%", _percentage),
    Column("ETA", _eta),
    Column("FILES", lambda load: str(load["files"]), wide=True),
    Column("FETCHED", lambda load: format_size(load["fetched"]), wide=True),
    Column("FAILED", lambda load: str(load["failed"]), wide=True),
    Column("POLICY", lambda load: load["policy"], wide=True),
    Column("WHEN", _when, wide=True),
    Column("MESSAGE", lambda load: load["message"] or "-", wide=True),
)

LINES = (
    Column("Name", lambda load: load["name"]),
    Column("Dataset", lambda load: load["dataset"]),
    Column("Phase", lambda load: load["phase"]),
    Column("Message", lambda load: load["message"] or "-"),
    Column("Runs", _when),
    Column("Next run", lambda load: _moment(load["next_run"])),
    Column("Last success", lambda load: _moment(load["succeeded"])),
    Column("Files", lambda load: str(load["files"])),
    Column("Blocks", lambda load: f"{load['blocks_done']} of {load['blocks']}"),
    Column(
        "Bytes",
        lambda load: f"{format_size(load['bytes_done'])} of {_bytes(load)} ({_percentage(load)})",
    ),
    Column("Fetched", lambda load: format_size(load["fetched"])),
    Column("Failed", lambda load: f"{load['failed']} blocks"),
    Column("Rate", lambda load: f"{format_size(load['rate'])}/s"),
    Column("ETA", _eta),
    Column("Duration", _duration),
    Column("Age", _age),
)

MEMBER_COLUMNS = (
    Column("MEMBER", lambda member: member["name"]),
    Column("PHASE", lambda member: member["phase"]),
    Column("DURATION", _duration),
    Column("BLOCKS", lambda member: f"{member['blocks_done']}/{member['blocks']}"),
    Column("BYTES", _bytes),
    Column("DONE", lambda member: format_size(member["bytes_done"])),
    Column("FETCHED", lambda member: format_size(member["fetched"])),
    Column("FAILED", lambda member: str(member["failed"])),
    Column("MESSAGE", lambda member: member["message"] or "-", wide=True),
)


@asks_agent
def loads(
    target: Target,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show all of one load, by member.")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List the loads of the mesh, or show one; the same at every agent."""
    if name is None:
        rows = ask(target, lambda client: client.loads())
        print_list(rows, COLUMNS, output, NOTHING)
        return
    load = ask(target, lambda client: client.load(name))
    print_one(load, LINES, output)
    if output in (Format.TABLE, Format.WIDE) and load["members"]:
        print()
        print_table(load["members"], MEMBER_COLUMNS, output)
