"""A load's progress on stderr: bars on a terminal, a line now and then elsewhere."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from meshcache.agent.cli.output import Format, printable
from meshcache.agent.cli.target import Target, ask
from meshcache.units import format_age, format_size

if TYPE_CHECKING:
    from meshcache.agent.client import AgentClient

POLL = 0.2
"""Seconds between two questions about a load."""

LINE_EVERY = 5.0
"""Seconds between two lines about it where there is no terminal for bars."""

MAX_BARS = 16
"""Members that have a bar of their own."""

OVER = ("Complete", "Failed", "Cancelled")

Report = Callable[[Mapping[str, Any]], None]


def follow(target: Target, load: dict[str, Any], output: Format) -> dict[str, Any]:
    """Show how a load goes until it is over; how it was in the end."""
    try:
        with _reporter() as report:
            return ask(target, lambda client: _follow(client, load, report))
    except KeyboardInterrupt:
        name = load["name"]
        print(
            f"load {name} goes on: `meshcache load cancel {name}` ends it",
            file=sys.stderr,
        )
        raise


async def _follow(client: "AgentClient", load: dict[str, Any], report: Report) -> dict[str, Any]:
    while load["phase"] not in OVER:
        report(load)
        await asyncio.sleep(POLL)
        load = await client.load(load["name"])
    report(load)
    return load


@contextmanager
def _reporter() -> Iterator[Report]:
    if sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Bytes per second; rich's own column counts them in thousands, beside MiB."""

        def render(self, task: Task) -> Text:
            return Text(f"{format_size(task.finished_speed or task.speed or 0)}/s", "red")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(binary_units=True),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars: dict[str, TaskID] = {}

        def show(what: str, part: Mapping[str, Any], description: str) -> None:
            if what not in bars:
                bars[what] = progress.add_task("", total=None)
            progress.update(
                bars[what],
                total=part["bytes"] or None,
                completed=part["bytes_done"],
                description=printable(description),
            )

        def report(load: Mapping[str, Any]) -> None:
            show("", load, f"{load['dataset']} ({load['files']} files)")
            for member in load["members"][:MAX_BARS]:
                show(member["store"], member, f"  {member['name']}")

        yield report


def _lines() -> Report:
    last = time.monotonic()

    def report(load: Mapping[str, Any]) -> None:
        nonlocal last
        if time.monotonic() - last < LINE_EVERY:
            return
        last = time.monotonic()
        done, total = format_size(load["bytes_done"]), format_size(load["bytes"])
        eta = format_age(load["eta"]) if load["eta"] is not None else "unknown"
        print(
            f"{load['percentage']:.1f}%: {done} of {total}, {load['files']} files, "
            f"{format_size(load['rate'])}/s, ETA {eta}",
            file=sys.stderr,
        )

    return report
