"""``meshcache ls`` and ``meshcache cat``: files without a mount."""

import contextlib
import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meshcache.agent.cli.output import Format, FormatOption, print_data, printable
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.units import format_size

DatasetArgument = Annotated[str, typer.Argument(metavar="NAME", help="The dataset.")]

_HALF_A_YEAR = 182 * 86400


@asks_agent
def ls(
    target: Target,
    name: DatasetArgument,
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="A directory or a file of the dataset.")
    ] = "/",
    output: FormatOption = Format.TABLE,
) -> None:
    """List a directory of a dataset, as `ls -lh` does. Wide: sizes in bytes."""
    entries = ask(target, lambda client: client.entries(name, path))
    if output in (Format.JSON, Format.YAML):
        print_data(entries, output)
        return
    exact = output is Format.WIDE
    sizes = [_size(entry, exact) for entry in entries]
    width = max(map(len, sizes), default=0)
    now = time.time()
    for entry, size in zip(entries, sizes, strict=True):
        directory = entry["type"] == "dir"
        mode, slash = ("dr-xr-xr-x", "/") if directory else ("-r--r--r--", "")
        when = _when(entry["mtime_ns"] / 1e9, now)
        print(f"{mode} {size:>{width}} {when} {printable(entry['name'])}{slash}")


@asks_agent
def cat(
    target: Target,
    name: DatasetArgument,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file of the dataset.")],
) -> None:
    """Write a file's bytes to stdout."""

    async def copy(client: Any) -> None:
        async with contextlib.aclosing(client.read(name, path)) as chunks:
            async for chunk in chunks:
                sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()

    ask(target, copy)


def _size(entry: Mapping[str, Any], exact: bool) -> str:
    if entry["type"] == "dir":
        return "-"
    return str(entry["size"]) if exact else format_size(entry["size"])


def _when(seconds: float, now: float) -> str:
    """As ls: the time of day where it is recent, else the year."""
    form = "%b %e %H:%M" if 0 <= now - seconds < _HALF_A_YEAR else "%b %e  %Y"
    return time.strftime(form, time.localtime(seconds))
