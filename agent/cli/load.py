"""``meshcache load``: warm the cache up."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from meshcache.agent.cli import exits
from meshcache.agent.cli.load_progress import follow
from meshcache.agent.cli.output import Column, Format, FormatOption, print_data, print_table
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.errors import InvalidInput
from meshcache.units import format_size, parse_duration, parse_size

Patterns = list[str] | None

PLAN_COLUMNS = (
    Column("MEMBER", lambda member: member["name"]),
    Column("ZONE", lambda member: member["zone"] or "-"),
    Column("BLOCKS", lambda member: str(member["blocks"])),
    Column("BYTES", lambda member: format_size(member["bytes"])),
    Column("TO FETCH", lambda member: format_size(member["to_fetch"])),
    Column("ROOM", lambda member: format_size(member["room"]) if member["answers"] else "unknown"),
    Column("FITS", lambda member: "yes" if member["fits"] else "no"),
)

LACKING_COLUMNS = (
    Column("LACKS", lambda file: format_size(file["bytes"])),
    Column("PATH", lambda file: file["path"]),
)


@asks_agent
def load(
    target: Target,
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="The dataset, or NAME@VERSION; or `cancel` or `delete`, of a load.",
        ),
    ],
    paths: Annotated[
        Patterns,
        typer.Argument(
            metavar="[PATH|GLOB]...",
            help="Files, directories and globs from the dataset's root; all if none is given.",
        ),
    ] = None,
    exclude: Annotated[
        Patterns,
        typer.Option(metavar="GLOB", help="What to leave out; without a slash at any depth."),
    ] = None,
    files: Annotated[
        str | None,
        typer.Option("--files", "-f", metavar="FILE", help="A list of paths, one a line; - stdin."),
    ] = None,
    metadata_only: Annotated[
        bool, typer.Option("--metadata-only", help="Only have the listing at every member.")
    ] = False,
    replicas: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="How many owners of each block fetch it; as the dataset says if not given.",
        ),
    ] = None,
    zone: Annotated[
        Patterns,
        typer.Option(metavar="ZONE", help="Every member of it fetches everything; repeatable."),
    ] = None,
    node: Annotated[
        Patterns,
        typer.Option(metavar="NAME", help="This member fetches everything; repeatable."),
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--all", help="Every member that keeps blocks fetches everything.")
    ] = False,
    rate: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="At most so many bytes a second, all members together."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what each member would do, and if it fits.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is loaded: exit 0 if all is, else 1.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait/--background", help="Show progress until it ends; exit 1 if it failed."
        ),
    ] = False,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="What to call it; made up if not given.")
    ] = "",
    schedule: Annotated[
        str, typer.Option(metavar="CRON", help="Run again and again: five cron fields, in UTC.")
    ] = "",
    run_after: Annotated[
        str, typer.Option(metavar="LOAD", help="Begin when that load is complete.")
    ] = "",
    ttl: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Forget it so long after its end, like 1h."),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> int:
    """Load a dataset into the mesh before anybody reads it. Goes on when this command ends.

    A second load of the same fetches only what is lacking. `meshcache loads` shows all loads;
    `meshcache load cancel NAME` ends one, and `load delete NAME` forgets it.
    """
    if dataset in ("cancel", "delete"):
        return _end(target, dataset, paths or [], output)
    asked: dict[str, Any] = {
        "dataset": dataset,
        "paths": paths or [],
        "exclude": exclude or [],
        "files": _listed(files) if files is not None else None,
        "metadata_only": metadata_only,
        "replicas": _replicas(replicas),
        "zones": zone or [],
        "nodes": node or [],
        "all": everywhere,
        "rate": parse_size(rate) if rate is not None else 0,
        "name": name,
        "schedule": schedule,
        "policy": "Cron" if schedule else "OnEvent" if run_after else "Once",
        "run_after": run_after,
        "ttl": parse_duration(ttl) if ttl is not None else None,
        "dry_run": dry_run,
    }
    _check_text(asked)
    if sum((check, dry_run, wait)) > 1:
        raise InvalidInput("--check, --dry-run and --wait do three things: give one of them")
    if check:
        return _tell_check(ask(target, lambda client: client.check_load(asked)), output)
    started = ask(target, lambda client: client.start_load(asked))
    if dry_run:
        return _tell_plan(started, output)
    if not wait:
        _tell(started, output, f"load {started['name']} of {dataset} {_begun(started)}")
        return exits.OK
    return _tell_end(follow(target, started, output), output)


def _begun(load: Mapping[str, Any]) -> str:
    if load["schedule"]:
        return f"runs by its schedule {load['schedule']!r} (UTC)"
    return load["message"] if load["run_after"] and load["message"] else "started"


def _listed(where: str) -> list[str]:
    text = sys.stdin.read() if where == "-" else Path(where).read_text()
    lines = [line.rstrip("\r") for line in text.split("\n")]
    return [line for line in lines if line]


def _replicas(given: int | None) -> int:
    if given is None:
        return 0  # as the dataset says
    if given < 1:
        raise InvalidInput(f"--replicas {given} cannot be: a block has at least one owner")
    return given


def _check_text(asked: Mapping[str, Any]) -> None:
    """What a shell gave that is no UTF-8 cannot be sent as JSON."""
    for key in ("paths", "exclude", "files"):
        for text in asked[key] or ():
            if not text.isascii() and text != text.encode("utf-8", "replace").decode():
                raise InvalidInput(
                    f"{text!r} is not UTF-8 and cannot be named here: name its directory, or use ?"
                )


def _end(target: Target, how: str, names: list[str], output: Format) -> int:
    if not names:
        raise InvalidInput(f"`load {how}` takes the names of loads: see `meshcache loads`")
    for name in names:
        if how == "cancel":
            ended = ask(target, lambda client, name=name: client.cancel_load(name))  # type: ignore[misc]
            _tell(ended, output, f"load {name} is {ended['phase']}")
        else:
            ask(target, lambda client, name=name: client.delete_load(name))  # type: ignore[misc]
            print(f"load {name} deleted")
    return exits.OK


def _tell_end(ended: Mapping[str, Any], output: Format) -> int:
    if ended["phase"] == "Complete":
        _tell(ended, output, _loaded(ended))
        return exits.OK
    _tell(ended, output, "")
    how = "was cancelled" if ended["phase"] == "Cancelled" else "failed"
    blocks = f": {ended['failed']} of {ended['blocks']} blocks" if ended["failed"] else ""
    reason = f": {ended['message']}" if ended["message"] else ""
    print(f"meshcache: load {ended['name']} {how}{blocks}{reason}", file=sys.stderr)
    return exits.FAILED


def _loaded(ended: Mapping[str, Any]) -> str:
    if ended["metadata_only"]:
        return f"the listing of {ended['files']} files is at every member"
    seconds = max(ended["duration"], 1e-3)
    size, fetched = format_size(ended["bytes"]), format_size(ended["fetched"])
    rate = format_size(ended["fetched"] / seconds)
    return f"loaded {size} in {seconds:.1f} s: {fetched} fetched ({rate}/s)"


def _tell_plan(plan: Mapping[str, Any], output: Format) -> int:
    _tell(
        plan,
        output,
        f"{plan['files']} files, {plan['blocks']} blocks, {format_size(plan['bytes'])}: "
        f"{format_size(plan['to_fetch'])} to fetch, {format_size(plan['from_origin'])} of it from "
        f"the origin; {'fits' if plan['fits'] else 'does not fit'}",
    )
    if output in (Format.TABLE, Format.WIDE):
        print_table(plan["members"], PLAN_COLUMNS, output)
    return exits.OK


def _tell_check(check: Mapping[str, Any], output: Format) -> int:
    done, size = format_size(check["bytes_done"]), format_size(check["bytes"])
    share = "100%" if check["complete"] else f"{min(check['percentage'], 99.9):.1f}%"
    _tell(check, output, f"{share} is loaded: {done} of {size}, {check['files']} files")
    if output in (Format.TABLE, Format.WIDE) and check["lacking"]:
        print_table(check["lacking"], LACKING_COLUMNS, output)
        more = check["files_lacking"] - len(check["lacking"])
        if more:
            print(f"and {more} more files")
    return exits.OK if check["complete"] else exits.FAILED


def _tell(thing: Mapping[str, Any], output: Format, line: str) -> None:
    if output in (Format.JSON, Format.YAML):
        print_data(thing, output)
    elif line:
        print(line)
