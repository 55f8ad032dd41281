"""``meshcache load``: warm the cache up."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshcache.agent.cli import exits
from meshcache.agent.cli.output import Format, FormatOption, print_data
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.units import format_size

if TYPE_CHECKING:
    from meshcache.agent.client import AgentClient

POLL = 0.2
"""Seconds between two questions about a load."""

LINE_EVERY = 5.0
"""Seconds between two lines about it where there is no terminal for a bar."""

Report = Callable[[dict[str, Any]], None]


@asks_agent
def load(
    target: Target,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The dataset.")],
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help="Files and directories; all if not given."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Show progress until it ends; exit 1 if it failed.")
    ] = False,
    output: FormatOption = Format.TABLE,
) -> int:
    """Load a dataset into the mesh before anybody reads it. Goes on when this command ends."""
    started = ask(target, lambda client: client.start_load(name, paths or []))
    if not wait:
        _tell(started, output, f"load {started['id']} of {name} started")
        return exits.OK
    with _reporter(output) as report:
        ended = ask(target, lambda client: _follow(client, started, report))
    if ended["phase"] == "Complete":
        seconds = max(ended["duration"], 1e-3)
        size = ended["bytes"]
        rate = format_size(size / seconds)
        _tell(ended, output, f"loaded {format_size(size)} in {seconds:.1f} s ({rate}/s)")
        return exits.OK
    _tell(ended, output, "")
    reason = ended["message"] or "the agent gives no reason"
    missing = f"{ended['failed']} of {ended['blocks']} blocks" if ended["blocks"] else "the load"
    print(f"meshcache: {missing} failed: {reason}", file=sys.stderr)
    return exits.FAILED


async def _follow(client: "AgentClient", load: dict[str, Any], report: Report) -> dict[str, Any]:
    while load["phase"] == "Executing":
        report(load)
        await asyncio.sleep(POLL)
        load = await client.load(load["id"])
    report(load)
    return load


def _tell(load: dict[str, Any], output: Format, line: str) -> None:
    if output in (Format.JSON, Format.YAML):
        print_data(load, output)
    elif line:
        print(line)


@contextmanager
def _reporter(output: Format) -> Iterator[Report]:
    """Progress on stderr: a bar on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("load", total=None)
        yield lambda load: progress.update(
            bar, total=load["bytes"] or None, completed=load["bytes_done"]
        )


def _lines() -> Report:
    last = time.monotonic()

    def report(load: dict[str, Any]) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            done, total = format_size(load["bytes_done"]), format_size(load["bytes"])
            print(f"{done} of {total}, {load['blocks_done']} blocks", file=sys.stderr)

    return report
