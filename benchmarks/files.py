"""Many files: listed, mounted from the mesh, walked: ``make bench-files``.

A bucket that is made up as it is asked for (`benchmarks.bucket`) is listed by one agent; another
one, a guest that keeps nothing for the mesh and so has nothing yet, mounts it from the mesh. Then
all names are read, and all files are looked at, twice each, and the same is done with a directory
of the local file system that has as many empty files. Requests are counted as the worker's read
system calls: it reads each request of the kernel by one. Needs root.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks import workers
from benchmarks.bucket import NAME, Numbered
from benchmarks.mesh import Mesh, Node
from meshcache.errors import EnvironmentUnfit, MeshcacheError
from meshcache.units import GIB

COUNTS = (1_000, 20_000, 100_000, 1_000_000)
PER_FOLDER = 1000
SIZE = 100_000
"""Bytes of each object, as it is listed; none is read."""

_TICK = os.sysconf("SC_CLK_TCK")


class Process:
    """What the kernel counts of a process."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    @property
    def cpu(self) -> float:
        """Seconds, user and system."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    @property
    def requests(self) -> int:
        """Read system calls: for a worker, the kernel's requests."""
        return int(self._lines("io")["syscr"])

    def memory(self, name: str) -> float:
        """MiB of VmHWM, RssAnon, RssFile or RssShmem."""
        return int(self._lines("status")[name].split()[0]) / 1024

    def forget_peak(self) -> None:
        """Have VmHWM count from what is resident now."""
        (self._folder / "clear_refs").write_text("5")

    def _lines(self, file: str) -> dict[str, str]:
        lines = (self._folder / file).read_text().splitlines()
        return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def worker_of(mountpoint: Path) -> Process:
    """The worker that serves the mount there."""
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = cmdline.read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if b"mount" in words and os.fsencode(mountpoint) in words:
            return Process(workers.serving(int(cmdline.parent.name)))
    raise EnvironmentUnfit(f"nothing is mounted at {mountpoint}")


def timed(command: str, *arguments: str) -> float:
    """Seconds that a shell command takes."""
    start = time.perf_counter()
    subprocess.run(
        ["timeout", "500", "sh", "-c", command, "sh", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


NAMES = 'find "$1" -type f'
"""Reads all names; what kind each is comes with it."""

STATS = 'cd "$1" && xargs -0 -n 5000 stat --printf %s < "$2"'
"""Looks at each of the files that the list names."""


def walk(root: Path, names: Path, worker: Process | None) -> "Taken":
    """(seconds, requests) of names, names again, looking, looking again."""
    taken = []
    for command in (NAMES, NAMES, STATS, STATS):
        before = worker.requests if worker else 0
        seconds = timed(command, str(root), str(names))
        taken.append((seconds, worker.requests - before if worker else 0))
    return taken


def drop_caches() -> None:
    """Have the kernel forget names, attributes and pages."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def make_local(root: Path, keys: Numbered) -> None:
    """As many empty files, in as many folders."""
    for number in range(-(-len(keys) // PER_FOLDER)):
        (root / f"{number:06}").mkdir(parents=True)
    for key in keys:
        (root / key).touch()


Taken = list[tuple[float, int]]
"""(seconds, requests) of each pass of `walk`."""


class Walked(NamedTuple):
    """What so many files took."""

    listed: float
    """Seconds."""
    cpu: float
    """Seconds of the agent that listed."""
    peak: float
    """MiB that listing added to it."""
    mounted: float
    """Seconds."""
    own: float
    """MiB of the worker's RssAnon, after all passes."""
    mapped: float
    """MiB of its RssFile and RssShmem."""
    taken: Taken


async def bench(count: int, console: Console) -> Walked:
    """List, mount and walk so many files; leaves nothing behind."""
    keys = Numbered(count, per_folder=PER_FOLDER)
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.bucket", "--files", str(count)),
        *("--per-folder", str(PER_FOLDER), "--size", str(SIZE)),
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    with tempfile.TemporaryDirectory(prefix="files-") as name:
        folder = Path(name)
        names = folder / "names"
        names.write_bytes(b"\0".join(key.encode() for key in keys))
        try:
            url = (await server.stdout.readline()).decode().strip()
            async with Mesh(folder, ["one", "two"], 4 * GIB) as mesh:
                guest = Node(folder / "guest", "guest", "--role", "guest")
                await guest.start(folder / "mesh.key", GIB, mesh.nodes[0].gossip)
                try:
                    return await measure(mesh.nodes[0], guest, url, names, count, console)
                finally:
                    await guest.stop()
        finally:
            server.kill()
            await server.wait()


def bench_local(count: int, console: Console) -> Taken:
    """Walk as many files of the local file system."""
    console.print(f"{count} files on the local file system")
    keys = Numbered(count, per_folder=PER_FOLDER)
    with tempfile.TemporaryDirectory(prefix="files-") as name:
        names = Path(name) / "names"
        names.write_bytes(b"\0".join(key.encode() for key in keys))
        make_local(Path(name) / "local", keys)
        drop_caches()
        return walk(Path(name) / "local", names, None)


async def measure(
    lister: Node, guest: Node, url: str, names: Path, count: int, console: Console
) -> Walked:
    """List, mount, walk."""
    agent = Process(lister.pid)
    # What botocore takes once is no price of these files.
    options = ("--option", f"endpoint={url}", "--option", "anonymous=true")
    await lister.cli("dataset", "create", "warm-up", f"s3://{NAME}/000000", *options)
    agent.forget_peak()
    cpu, before = agent.cpu, agent.memory("VmHWM")
    console.print(f"{count} files: listing")
    start = time.perf_counter()
    await lister.cli("dataset", "create", "data", f"s3://{NAME}", *options)
    listing, cpu = time.perf_counter() - start, agent.cpu - cpu
    peak = agent.memory("VmHWM") - before
    start = time.perf_counter()
    await guest.mount("data")
    mounting = time.perf_counter() - start
    worker = worker_of(guest.mountpoint)
    drop_caches()
    console.print(f"{count} files: walking")
    taken = await asyncio.to_thread(walk, guest.mountpoint, names, worker)
    anon, shared = worker.memory("RssAnon"), worker.memory("RssFile") + worker.memory("RssShmem")
    return Walked(listing, cpu, peak, mounting, anon, shared, taken)


def _row(count: int, walked: Walked) -> list[str]:
    return [
        f"{count:,}",
        "meshcache",
        f"{walked.listed:.1f}",
        f"{walked.cpu:.1f}",
        f"{walked.peak:.0f}",
        f"{walked.mounted:.2f}",
        f"{walked.own:.0f}",
        f"{walked.mapped:.0f}",
        "/".join(str(requests) for _, requests in walked.taken),
        *_rates(count, walked.taken),
    ]


def _rates(count: int, taken: Taken) -> list[str]:
    return [f"{count / seconds:,.0f}" for seconds, _ in taken]


def main() -> int:
    """Parse, check, run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.files", description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=COUNTS, help="files of each run")
    given = parser.parse_args()
    console = Console(width=200)
    table = Table(box=None, pad_edge=False)
    for column in (
        "files",
        "",
        "list s",
        "CPU s",
        "peak MiB",
        "mount s",
        "worker MiB",
        "mapped MiB",
    ):
        table.add_column(column, justify="right")
    for column in ("requests", "names/s", "again", "stat/s", "again"):
        table.add_column(column, justify="right")
    try:
        if os.geteuid() != 0:
            raise EnvironmentUnfit("this needs root, to drop the caches between passes")
        for count in given.counts:
            table.add_row(*_row(count, asyncio.run(bench(count, console))))
            local = bench_local(count, console)
            table.add_row(f"{count:,}", "local", *(["-"] * 7), *_rates(count, local))
    except MeshcacheError as error:
        sys.stderr.write(f"bench-files: {error}\n")
        return 1
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
