"""What an agent costs when nobody reads: ``python -m benchmarks.idle``.

Three agents of one mesh, each with a dataset it has read, left alone for a minute: CPU time over
that minute, resident memory, and of that what is the process's own (the rest is shared with the
other agents or is the page cache of its files).
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.mesh import Mesh, Node
from benchmarks.usage import cpu_seconds, memory
from meshcache.errors import MeshcacheError
from meshcache.units import MIB, format_size, parse_duration

_SETTLE = 15.0


def pid_of(node: Node) -> int:
    """The agent's own process, by its socket's name on the command line."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(node.socket).encode() in words and b"agent" in words:
                return int(folder.name)
    raise RuntimeError(f"{node.name} is gone")


async def measure(node: Node, seconds: float) -> tuple[float, int, int]:
    """(CPU share of one core, resident bytes, private bytes)."""
    pid = pid_of(node)
    before = cpu_seconds(pid)
    await asyncio.sleep(seconds)
    share = (cpu_seconds(pid) - before) / seconds
    own = memory(pid, "Private_Clean") + memory(pid, "Private_Dirty")
    return share, memory(pid, "Rss"), own


async def bench(seconds: float, console: Console) -> None:
    """The whole run; leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="idle-") as folder:
        data = Path(folder) / "data"
        data.mkdir()
        (data / "file").write_bytes(os.urandom(32 * MIB))
        # With a key file agents may be told of folders; on loopback any will do.
        async with Mesh(Path(folder), ["one", "two", "three"], 256 * MIB) as mesh:
            await mesh.nodes[0].cli("dataset", "create", "data", f"file://{data}")
            await asyncio.sleep(1)
            for node in mesh.nodes:
                await node.cli("load", "data", "--wait")
            console.print(f"three agents, left alone for {seconds:.0f} s")
            await asyncio.sleep(_SETTLE)
            rows = await asyncio.gather(*(measure(node, seconds) for node in mesh.nodes))
    table = Table(box=None, pad_edge=False)
    for column in ("agent", "CPU of a core", "RSS", "private"):
        table.add_column(column, justify="left" if column == "agent" else "right")
    for node, (share, rss, own) in zip(mesh.nodes, rows, strict=True):
        table.add_row(node.name, f"{share:.2%}", format_size(rss), format_size(own))
    console.print(table)


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=__doc__)
    parser.add_argument("--for", dest="seconds", default="60s", help="how long to watch")
    given = parser.parse_args()
    try:
        asyncio.run(bench(parse_duration(given.seconds), Console()))
    except MeshcacheError as error:
        sys.stderr.write(f"idle: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
