"""Loads beside the origin's own speed and beside plain parallel downloads: ``make bench-load``.

Three agents on one machine, each with a store of its own, and SeaweedFS:

- a *large file* through a proxy that caps the origin's rate: what part of the cap a load takes;
- *small files* without a cap, beside the same tree downloaded by 16 parallel connections of
  ``curl`` (without signatures), by ``juicefs sync`` with 16 threads, and copied by 16 ``cp`` at a
  time from a mount of the same bucket (rclone's), and from one that needs no S3 (SeaweedFS' own).

All write to memory (/dev/shm): a disk's file system would be measured with them, and one whose
last user has just removed thousands of files makes new ones several times more slowly.

The contenders take turns within one run, with new stores each time. A load's time is the one of
its record: from its start to the moment when the last member has written its last block.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.cap import Cap
from benchmarks.datapath.origin import RCLONE, WEED, rclone_remote
from benchmarks.datapath.subjects.rivals import JUICEFS
from benchmarks.mesh import Mesh, run
from meshcache.errors import EnvironmentUnfit, MeshcacheError
from meshcache.fuse.mountinfo import mount_at
from meshcache.units import KIB, MIB, format_size, parse_size
from tests.support.seaweed import Seaweed

NAMES = ("one", "two", "three")
PARALLEL = 16
LARGE = "large"
SMALL = "public"
"""The bucket that SeaweedFS lets anybody read."""
_MEMORY = "/dev/shm"


class Bench:
    """One run."""

    def __init__(self, server: Seaweed, folder: Path, console: Console) -> None:
        self._server = server
        self._folder = folder
        self._console = console

    # --- the origin's content ---------------------------------------------------------------

    def upload(self, large: int, files: int, size: int) -> None:
        """Write both buckets."""
        self._server.make_bucket(LARGE)
        self._server.make_bucket(SMALL)
        data = os.urandom(MIB)
        self._server.put(LARGE, "file", (data * (large // MIB + 1))[:large])
        with ThreadPoolExecutor(PARALLEL) as pool:
            jobs = [
                pool.submit(self._server.put, SMALL, _key(number), os.urandom(size))
                for number in range(files)
            ]
            for job in jobs:
                job.result()

    # --- contenders -------------------------------------------------------------------------

    async def load(self, bucket: str, endpoint: str) -> tuple[float, int]:
        """(seconds, bytes fetched) of a load by a new mesh."""
        folder = Path(tempfile.mkdtemp(prefix="mesh-", dir=self._folder))
        try:
            async with Mesh(folder, _made(folder), 2 << 30) as mesh:
                node = mesh.nodes[0]
                await node.create(bucket, self._server, endpoint)
                await node.cli("load", bucket, "--wait", "--name", "bench")
                done = json.loads(await node.cli("loads", "bench", "-o", "json"))
                return float(done["duration"]), int(done["fetched"])
        finally:
            shutil.rmtree(folder)

    async def curl(self, files: int) -> float:
        """Seconds of ``curl`` for all small files."""
        into = self._folder / "curl"
        lines = []
        for number in range(files):
            key = _key(number)
            lines.append(f'url = "{self._server.endpoint}/{SMALL}/{key}"\n')
            lines.append(f'output = "{into / key}"\n')
        config = self._folder / "curl.txt"
        config.write_text("".join(lines))
        command = ["curl", "--silent", "--fail", "--parallel", "--parallel-max", str(PARALLEL)]
        return await _timed(into, *command, "--create-dirs", "--config", str(config))

    async def copy_from_weed(self) -> float:
        """Seconds of 16 ``cp`` at a time from ``weed mount``, which reads volumes without S3."""
        return await self._copy(
            lambda mountpoint: (
                *(WEED, "mount", f"-filer={self._server.filer}", f"-dir={mountpoint}"),
                *(f"-filer.path=/buckets/{SMALL}", "-readOnly", "-dirAutoCreate=false"),
                *(f"-cacheDir={self._folder / 'weed-cache'}", "-cacheCapacityMB=0"),
            )
        )

    async def copy_from_rclone(self) -> float:
        """Seconds of 16 ``cp`` at a time from ``rclone mount``, by S3."""
        remote = rclone_remote(self._server, SMALL)
        return await self._copy(
            lambda mountpoint: (
                *(RCLONE, "mount", remote, str(mountpoint), "--config", "/dev/null"),
                *("--read-only", "--no-modtime", "--vfs-cache-mode", "off"),
            )
        )

    async def _copy(self, command: Callable[[Path], Sequence[str]]) -> float:
        """Copy the tree from a mount that is made anew, so that nothing is cached."""
        mountpoint = self._folder / "origin"
        mountpoint.mkdir(exist_ok=True)
        with (self._folder / "mount.log").open("ab") as log:
            mount = await asyncio.create_subprocess_exec(
                *command(mountpoint), stdout=log, stderr=log
            )
        try:
            async with asyncio.timeout(30):
                while mount_at(mountpoint) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            into = self._folder / "copy"
            copies = f"cd {mountpoint} && ls | xargs -P{PARALLEL} -n1 cp -r -t {into}"
            return await _timed(into, "sh", "-c", copies)
        finally:
            mount.terminate()
            await mount.wait()

    async def juicefs(self) -> float:
        """Seconds of ``juicefs sync`` for all small files."""
        into = self._folder / "sync"
        server = self._server
        where = server.endpoint.removeprefix("http://")
        source = f"minio://{server.access_key}:{server.secret_key}@{where}/{SMALL}/"
        return await _timed(
            into, JUICEFS, "sync", "--threads", str(PARALLEL), "--quiet", source, f"{into}/"
        )

    # --- the runs ---------------------------------------------------------------------------

    async def large(self, size: int, rate: int, rounds: int) -> None:
        """The large file, capped."""
        samples, origin = [], 0
        async with Cap(self._server.endpoint, rate=rate) as cap:
            for _ in range(rounds):
                cap.reset()
                seconds, _fetched = await self.load(LARGE, cap.url)
                samples.append(size / seconds)
                origin = max(origin, cap.counts.object_bytes)
        middle = statistics.median(samples)
        self._console.print(
            f"large file of {format_size(size)}, cap {format_size(rate)}/s: "
            f"{format_size(middle)}/s, {middle / rate:.3f} of the cap "
            f"(least {min(samples) / rate:.3f}); origin/unique {origin / size:.3f}"
        )

    async def small(self, files: int, size: int, rounds: int) -> None:
        """The small files, uncapped."""
        contenders: dict[str, Callable[[], Awaitable[float]]] = {
            "curl, 16 connections": lambda: self.curl(files),
            "juicefs sync, 16 threads": self.juicefs,
            "16 cp -r from rclone mount": self.copy_from_rclone,
            "16 cp -r from weed mount": self.copy_from_weed,
            "meshcache load, 3 agents": self._small_load,
        }
        samples: dict[str, list[float]] = {name: [] for name in contenders}
        for turn in range(rounds):
            names = list(contenders)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                samples[name].append(await contenders[name]())
        self._console.print(_table(samples, files, size))

    async def _small_load(self) -> float:
        return (await self.load(SMALL, self._server.endpoint))[0]


def _made(folder: Path) -> tuple[str, ...]:
    for name in NAMES:
        (folder / name).mkdir()
    return NAMES


def _key(number: int) -> str:
    return f"{number // 100:03}/{number:06}.bin"


async def _timed(into: Path, *command: str) -> float:
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    began = time.monotonic()
    await run(*command, within=600)
    took = time.monotonic() - began
    shutil.rmtree(into)
    return took


def _table(samples: dict[str, list[float]], files: int, size: int) -> Table:
    table = Table(box=None, pad_edge=False, title=f"{files} files of {format_size(size)}")
    for column in ("contender", "s", "min", "max", "files/s", "x curl"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    base = statistics.median(next(iter(samples.values())))
    for name, values in samples.items():
        middle = statistics.median(values)
        cells = [f"{value:.2f}" for value in (middle, min(values), max(values))]
        table.add_row(name, *cells, f"{files / middle:.0f}", f"{base / middle:.2f}")
    return table


async def bench(given: argparse.Namespace, console: Console) -> None:
    """The whole run; leaves nothing behind."""
    large, rate, size = map(parse_size, (given.large, given.rate, given.size))
    with tempfile.TemporaryDirectory(prefix="loads-", dir=_MEMORY) as folder, Seaweed() as server:
        one = Bench(server, Path(folder), console)
        await asyncio.to_thread(one.upload, large, given.files, size)
        if given.only != "small":
            await one.large(large, rate, given.rounds)
        if given.only != "large":
            await one.small(given.files, size, given.rounds)


def main() -> int:
    """Parse, check, run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loads", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--large", default="512MiB", help="the large file")
    parser.add_argument("--rate", default="64MiB", help="the cap, bytes per second")
    parser.add_argument("--files", type=int, default=5000, help="how many small files")
    parser.add_argument("--size", default=str(100 * KIB), help="of each small file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["large", "small"])
    given = parser.parse_args()
    try:
        if shutil.which("curl") is None:
            raise EnvironmentUnfit("this needs curl, to compare with")
        asyncio.run(bench(given, Console()))
    except MeshcacheError as error:
        sys.stderr.write(f"bench-load: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
