"""Warm sequential reads through FUSE, beside JuiceFS and the bare file: ``make bench-warm``.

One file, warm in each one's local cache in memory (tmpfs); the kernel's page cache is dropped
before every sample; one ``dd`` with 1 MiB reads. The contenders take turns within one run, so that
the machine's noise falls on all. Each is measured with the readahead it sets for itself, and again
with 4 MiB for both. Needs root: for the page cache, and for the readahead.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.juicefs import JuiceFS
from benchmarks.mesh import Mesh, Node
from meshcache.errors import EnvironmentUnfit, MeshcacheError
from meshcache.units import GIB, format_size, parse_size
from tests.support.seaweed import Seaweed

READAHEAD_KIB = 4096
_MEMORY = Path("/dev/shm")


class Contender(NamedTuple):
    """A way to the same bytes."""

    name: str
    file: Path
    readahead: int | None
    """KiB to set on its mount before a sample; None leaves what it set itself."""


def bdi_of(path: Path) -> Path:
    """The kernel's readahead setting of the mount that a file is on."""
    device = path.stat().st_dev
    return Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")


def sample(contender: Contender) -> float:
    """Bytes per second of one read of the whole file."""
    if contender.readahead is not None:
        bdi_of(contender.file).write_text(str(contender.readahead))
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    size = contender.file.stat().st_size
    done = subprocess.run(
        ["timeout", "120", "dd", f"if={contender.file}", "of=/dev/null", "bs=1M"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
    )
    return size / float(done.stderr.rsplit(" copied, ", 1)[1].split(" s", 1)[0])


async def prepare(node: Node, rival: JuiceFS, server: Seaweed, bucket: str, source: Path) -> None:
    """Have the file in both caches, and read through both mounts once."""
    server.make_bucket(bucket)
    with source.open("rb") as file:
        server.put(bucket, "file", file.read())
    await node.cli(
        *("dataset", "create", "warm", f"s3://{bucket}"),
        *("--option", f"endpoint={server.endpoint}", "--option", "addressing=path"),
        *("--secret-option", f"access_key=file:{write(node.folder / 'access', server.access_key)}"),
        *("--secret-option", f"secret_key=file:{write(node.folder / 'secret', server.secret_key)}"),
    )
    await node.cli("load", "warm", "--wait")
    await node.mount("warm")
    await rival.start(4 * source.stat().st_size)
    subprocess.run(["timeout", "300", "cp", str(source), str(rival.mountpoint)], check=True)
    for path in (node.mountpoint / "file", rival.mountpoint / "file"):
        subprocess.run(["timeout", "300", "cmp", str(source), str(path)], check=True)


def write(path: Path, text: str) -> Path:
    """A private file with that text."""
    path.write_text(text)
    path.chmod(0o600)
    return path


def measure(contenders: list[Contender], rounds: int) -> dict[str, list[float]]:
    """Samples by contender, in turn."""
    samples: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(rounds):
        for contender in (
            contenders[turn % len(contenders) :] + contenders[: turn % len(contenders)]
        ):
            samples[contender.name].append(sample(contender))
    return samples


def show(samples: dict[str, list[float]], base: str) -> Table:
    """Median, least and most, and the ratio of medians to `base`."""
    table = Table(box=None, pad_edge=False)
    for column in ("contender", "GB/s", "min", "max", f"x {base}"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    reference = statistics.median(samples[base])
    for name, values in samples.items():
        middle = statistics.median(values)
        table.add_row(
            name,
            *(f"{value / 1e9:.2f}" for value in (middle, min(values), max(values))),
            f"{middle / reference:.2f}",
        )
    return table


async def bench(size: int, rounds: int, console: Console) -> None:
    """The whole run; leaves nothing behind."""
    with (
        tempfile.TemporaryDirectory(prefix="warm-") as disk,
        tempfile.TemporaryDirectory(prefix="warm-", dir=_MEMORY) as memory,
        Seaweed() as server,
    ):
        source = Path(memory) / "file"
        source.write_bytes(os.urandom(size))
        rival = JuiceFS(Path(disk) / "juicefs", Path(memory) / "juicefs", server, "juicefs")
        server.make_bucket("juicefs")
        (Path(memory) / "mesh").mkdir()
        try:
            async with Mesh(Path(memory) / "mesh", ["one"], 4 * size) as mesh:
                (node,) = mesh.nodes
                console.print(f"loading {format_size(size)} into both caches")
                await prepare(node, rival, server, "warm", source)
                ours, theirs = node.mountpoint / "file", rival.mountpoint / "file"
                own = {path: int(bdi_of(path).read_text()) for path in (ours, theirs)}
                console.print(
                    f"juicefs {await rival.version()}; readahead of its mount {own[theirs]} KiB, "
                    f"of ours {own[ours]} KiB; {rounds} rounds"
                )
                contenders = [
                    Contender("bare file in tmpfs", source, None),
                    Contender("meshcache, as it is", ours, own[ours]),
                    Contender("juicefs, as it is", theirs, own[theirs]),
                    Contender(f"meshcache, {READAHEAD_KIB} KiB", ours, READAHEAD_KIB),
                    Contender(f"juicefs, {READAHEAD_KIB} KiB", theirs, READAHEAD_KIB),
                ]
                samples = await asyncio.to_thread(measure, contenders, rounds)
                console.print(show(samples, "juicefs, as it is"))
        finally:
            await rival.stop()


def main() -> int:
    """Parse, check, run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warm", description=__doc__)
    parser.add_argument("--size", default="1GiB", help="of the file")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    try:
        size = parse_size(given.size)
        if os.geteuid() != 0:
            raise EnvironmentUnfit("this needs root, to drop the page cache between reads")
        free = os.statvfs(_MEMORY).f_bavail * os.statvfs(_MEMORY).f_frsize
        if free < 4 * size + GIB:
            raise EnvironmentUnfit(f"{_MEMORY} has {format_size(free)} free: give a smaller --size")
        asyncio.run(bench(size, given.rounds, Console()))
    except MeshcacheError as error:
        sys.stderr.write(f"bench-warm: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
