"""A sidecar's three moments: ``python -m benchmarks.sidecar``.

A mesh of two agents that hold a dataset, and `meshcache mount --guest` again and again, with a
guest's key and an empty cache of its own: from its start to a mount that answers (of that, its
agent from start to ready), the first byte of a file that no sidecar has read, and SIGTERM to its
end.
Beside it what no program of Python's can do without: starting one that imports aiohttp.
"""

import argparse
import asyncio
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.mesh import COMMAND, Mesh
from meshcache.errors import EnvironmentUnfit, MeshcacheError
from meshcache.units import MIB

FILES = 64


class Moments(NamedTuple):
    """Seconds of one sidecar."""

    join: float
    """Its agent: from start to ready, the mesh seen."""
    mount: float
    """From its own start to a mount that answers; `join` is a part of it."""
    read: float
    """The first byte of a file, and with it its first block, out of the mesh."""
    leave: float
    """From SIGTERM to its end, unmounted."""


def run_one(folder: Path, seed: str, key: str, file: str) -> Moments:
    """One sidecar from its start to its end."""
    place = folder / "mnt"
    place.mkdir(parents=True)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MESHCACHE_")},
        "MESHCACHE_JOIN": seed,
        "MESHCACHE_GUEST_KEY": key,
        "MESHCACHE_CACHE_DIR": str(folder / "cache"),
        "MESHCACHE_CACHE_SIZE": "64MiB",
        "MESHCACHE_NAME": folder.name,
        "MESHCACHE_LISTEN": "127.0.0.1:0",
        "MESHCACHE_GOSSIP": "127.0.0.1:0",
    }
    agent = [*COMMAND, "agent", "--end-with-stdin", "--role", "guest"]
    began = time.monotonic()
    with subprocess.Popen(
        [*agent, "--socket", str(folder / "alone.sock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment | {"MESHCACHE_CACHE_DIR": str(folder / "alone")},
    ) as alone:
        assert alone.stdout is not None
        alone.stdout.readline()
        join = time.monotonic() - began
        alone.terminate()
    began = time.monotonic()
    with subprocess.Popen(
        [*COMMAND, "mount", "--guest", "data", str(place)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as sidecar:
        assert sidecar.stderr is not None
        said = iter(sidecar.stderr)
        if not any("is mounted at" in line for line in said):
            raise EnvironmentUnfit("the sidecar did not get ready")
        mount = time.monotonic() - began
        began = time.monotonic()
        with (place / file).open("rb") as opened:
            opened.read(1)
        read = time.monotonic() - began
        began = time.monotonic()
        sidecar.send_signal(signal.SIGTERM)
        sidecar.wait()
        return Moments(join, mount, read, time.monotonic() - began)


def start_of_python() -> float:
    """Seconds of a program that does nothing but import what every agent needs."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import aiohttp"], check=True)
    return time.monotonic() - began


async def bench(count: int, console: Console) -> None:
    """The whole run; leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="sidecar-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        for number in range(FILES):
            (folder / "data" / f"{number}").write_bytes(secrets.token_bytes(4 * MIB))
        async with Mesh(folder, ["one", "two"], 1024 * MIB) as mesh:
            node = mesh.nodes[0]
            await node.cli("dataset", "create", "data", f"file://{folder / 'data'}")
            await node.cli("load", "data", "--wait")
            key = (await node.cli("keys", "guest", "data")).strip()
            rows, starts = [], []
            for number in range(count):
                starts.append(await asyncio.to_thread(start_of_python))
                one = folder / f"sidecar-{number}"
                file = f"{number % FILES}"
                rows.append(await asyncio.to_thread(run_one, one, node.gossip, key, file))
    table = Table(box=None, pad_edge=False)
    for column in ("seconds", "median", "worst", "of Python's start"):
        table.add_column(column, justify="left" if column == "seconds" else "right")
    start = statistics.median(starts)
    columns = {field: [getattr(row, field) for row in rows] for field in Moments._fields}
    for field, values in (("python", starts), *columns.items()):
        median = statistics.median(values)
        table.add_row(field, f"{median:.3f}", f"{max(values):.3f}", f"{median / start:.1f}")
    console.print(f"{count} sidecars, one after the other")
    console.print(table)


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sidecar", description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="how many sidecars")
    given = parser.parse_args()
    try:
        asyncio.run(bench(given.count, Console()))
    except MeshcacheError as error:
        sys.stderr.write(f"sidecar: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
