"""``meshcache bench``: how fast this mesh and its origin are for whoever reads on this node."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshcache.agent.cli.files import DatasetArgument
from meshcache.agent.cli.output import Column, Format, FormatOption, print_list
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.errors import InvalidInput
from meshcache.units import MIB, format_size

if TYPE_CHECKING:
    from meshcache.agent.bench.passes import Pass
    from meshcache.agent.client import AgentClient

COLUMNS = (
    Column("ITEM", lambda row: row["item"]),
    Column("PASS", lambda row: row["pass"]),
    Column("VALUE", lambda row: f"{row['value']:,.1f} {row['unit']}"),
    Column("COST", lambda row: row["cost"]),
    Column("FROM", lambda row: row["from"]),
    Column("BYTES", lambda row: format_size(row["bytes"]), wide=True),
    Column("SECONDS", lambda row: f"{row['seconds']:.2f}", wide=True),
)


@asks_agent
def bench(
    target: Target,
    name: DatasetArgument,
    path: Annotated[
        str, typer.Option(metavar="PATH", help="Only files below this directory.")
    ] = "/",
    small_files: Annotated[
        int, typer.Option(metavar="COUNT", min=0, help="How many small files to read.")
    ] = 100,
    streams: Annotated[
        int, typer.Option(metavar="COUNT", min=1, max=64, help="Readers at the same time.")
    ] = 4,
    mountpoint: Annotated[
        Path | None,
        typer.Option(
            "--mount",
            metavar="MOUNTPOINT",
            help="Read through this mount as well; by default one of the dataset on this node.",
        ),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Read a dataset's largest file and some small ones, and say how fast that was.

    First from the agent, twice: the first pass has what this node lacks from other members or from
    the origin (FROM says which), the second one has all from this node's store, if it fits. Then
    through a mount, with the kernel's pages of the files dropped. Nothing is evicted for it: the
    origin is measured on what no member holds yet, the mesh on what another one has read.
    """
    rows = ask(
        target, lambda client: _measure(client, name, path, small_files, streams, mountpoint)
    )
    print_list(rows, COLUMNS, output, "nothing was read")


async def _measure(
    client: "AgentClient",
    name: str,
    root: str,
    small: int,
    streams: int,
    mountpoint: Path | None,
) -> list[dict[str, Any]]:
    from meshcache.agent.bench import passes
    from meshcache.agent.bench.choice import choose

    async def status() -> dict[str, int]:
        return dict((await client.status())["reads"])

    chosen = await choose(lambda place: client.entries(name, place), root, small)
    items = {
        "large file": [chosen.large] if chosen.large else [],
        "small files": chosen.small,
    }
    agent = passes.AgentReader(lambda path, part: client.read(name, path, part))
    mount = await _mount(client, name, mountpoint)
    through = passes.MountReader(mount, streams) if mount else None
    rows = []
    for item, files in items.items():
        if not files:
            continue
        ways: list[tuple[str, passes.Reader]] = [("agent, first", agent), ("agent, again", agent)]
        if through is not None:
            ways.append(("mount", through))
        for way, reader in ways:
            _say(f"{item}: {way}")
            rows.append(_row(await passes.run(item, way, reader, files, streams, status)))
    if through is not None and chosen.small:
        began = time.perf_counter()
        await through.look(chosen.small)
        seconds = time.perf_counter() - began
        looked = passes.Pass("small files", "mount, stat", seconds, 0, len(chosen.small), {})
        rows.append(_row(looked))
    return rows


async def _mount(client: "AgentClient", name: str, given: Path | None) -> Path | None:
    """Where the dataset is mounted on this node."""
    if given is not None:
        from meshcache.fuse import mountinfo

        if mountinfo.mount_at(given) is None:
            raise InvalidInput(f"nothing is mounted at {given}: mount {name} there first")
        return given
    places = [Path(m["mountpoint"]) for m in await client.mounts() if m["dataset"] == name]
    return next(iter(places), None)


def _row(done: "Pass") -> dict[str, Any]:
    if done.item == "large file":
        value, unit = done.bytes / MIB / done.seconds, "MiB/s"
        cost = f"{done.seconds / done.files:.2f} s/file"
    else:
        value, unit = done.files / done.seconds, "files/s"
        cost = f"{1000 * done.seconds / done.files:.2f} ms/file"
    return {
        "item": done.item,
        "pass": done.way,
        "value": value,
        "unit": unit,
        "cost": cost,
        "from": done.by_source,
        "sources": done.sources,
        "bytes": done.bytes,
        "seconds": done.seconds,
        "files": done.files,
    }


def _say(line: str) -> None:
    """What is going on, for whoever waits at a terminal."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr)
