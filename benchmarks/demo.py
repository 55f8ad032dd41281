"""The main job, end to end, on this machine: ``make demo``.

A real S3 server behind a bandwidth cap plays the remote storage. Three agents, each with a cache of
its own as three machines would have, read one model from it, through FUSE: one node cold, then the
other two at the same time, then one again, warm. What was asked of the origin is counted in the
cap's proxy. At the end everything is gone: mounts, processes, files.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from benchmarks.cap import Cap
from benchmarks.demo_table import Step, print_table
from benchmarks.measure import measure
from benchmarks.mesh import CommandFailed, Mesh, Node
from benchmarks.model import Manifest, generate, upload
from meshcache.errors import EnvironmentUnfit, MeshcacheError
from meshcache.units import MIB, format_size, parse_size
from tests.support.seaweed import Seaweed

T = TypeVar("T")

BUCKET = "models"
PREFIX = "demo/"
DATASET = "demo"

_HEADROOM = 1.15
"""Of a cache over the model's size: block files have trailers, and nothing shall be evicted."""

_ON_DISK = 5
"""Times the model's size: the server's copy, the generated one until it is uploaded, 3 caches."""

Reader = tuple[str, Sequence[str], Mapping[str, str]]
"""A measuring process: its module, arguments and variables."""


class Demo:
    """One run: what it was asked for, and what came out."""

    def __init__(self, size: int, rate: int, console: Console) -> None:
        self._size = size
        self._rate = rate
        self._console = console
        self._steps: list[Step] = []
        self._progress = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(20),
            TaskProgressColumn(),
            DownloadColumn(binary_units=True),
            TimeElapsedColumn(),
            console=console,
            # In a log, only what `_say` prints.
            disable=not console.is_terminal,
        )

    async def run(self) -> bool:
        """The whole job; whether every hash was right and nothing was left behind.

        Raises:
            EnvironmentUnfit: this machine lacks something; nothing is left behind.
            CommandFailed: a command of meshcache failed; nothing is left behind.
        """
        _check_environment(self._size)
        started = time.monotonic()
        folder = Path(tempfile.mkdtemp(prefix="meshcache-demo-"))
        cache_size = int(self._size * _HEADROOM) + 64 * MIB
        mesh = Mesh(folder, ["node-a", "node-b", "node-c"], cache_size)
        try:
            with self._progress:
                await self._work(folder, mesh)
        finally:
            clean = self._remove(folder, mesh)
        print_table(self._console, self._steps, size=self._size, rate=self._rate)
        if clean:
            took = time.monotonic() - started
            self._console.print(f"Took {took:.0f} s; nothing is left behind.", highlight=False)
        return clean and all(step.right for step in self._steps)

    def _remove(self, folder: Path, mesh: Mesh) -> bool:
        """Remove all files, unless something is still mounted among them."""
        mounted = [str(node.mountpoint) for node in mesh.nodes if node.mounted]
        if not mounted:
            shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return True
        self._console.print(f"[red]left behind: {folder}[/] {' '.join(mounted)}")
        return False

    async def _work(self, folder: Path, mesh: Mesh) -> None:
        async with contextlib.AsyncExitStack() as stack:
            seaweed = Seaweed(folder / "s3")
            stack.callback(seaweed.stop)
            await self._told("starting an S3 server (SeaweedFS)", _in_thread(seaweed.start))
            manifest = await self._model(folder / "model", seaweed)
            file = folder / "manifest.json"
            file.write_text(json.dumps(manifest))
            cap = await stack.enter_async_context(Cap(seaweed.endpoint, rate=self._rate))
            stack.push_async_callback(self._told_stop, mesh)
            await self._told("starting three agents", mesh.start())
            await self._dataset(folder, mesh.nodes[0], seaweed, cap)
            await self._reads(file, manifest, mesh.nodes, seaweed, cap)

    async def _told_stop(self, mesh: Mesh) -> None:
        await self._told("unmounting, stopping everything", mesh.stop())

    async def _model(self, folder: Path, seaweed: Seaweed) -> Manifest:
        """Generate the model and put it into the origin; its files are not needed after that."""
        what = f"generating a model of {format_size(self._size)}"
        manifest = await self._told(what, _in_thread(lambda: generate(folder, self._size)))
        await asyncio.to_thread(seaweed.make_bucket, BUCKET)
        async with self._bar("uploading it", sum(size for size, _ in manifest.values())) as add:
            await upload(
                folder,
                list(manifest),
                endpoint=seaweed.endpoint,
                access_key=seaweed.access_key,
                secret_key=seaweed.secret_key,
                bucket=BUCKET,
                prefix=PREFIX,
                progress=add,
            )
        shutil.rmtree(folder)
        return manifest

    async def _dataset(self, folder: Path, node: Node, seaweed: Seaweed, cap: Cap) -> None:
        references = []
        for option, secret in (
            ("access_key", seaweed.access_key),
            ("secret_key", seaweed.secret_key),
        ):
            path = folder / option
            path.write_text(secret)
            path.chmod(0o600)
            references += ["--secret-option", f"{option}=file:{path}"]
        url = f"s3://{BUCKET}/{PREFIX}"
        await self._told(
            f"meshcache dataset create {DATASET} {url}",
            node.cli(
                *("dataset", "create", DATASET, url),
                *("--option", f"endpoint={cap.url}"),
                *references,
            ),
        )

    async def _reads(
        self, file: Path, manifest: Manifest, nodes: list[Node], seaweed: Seaweed, cap: Cap
    ) -> None:
        total = sum(size for size, _ in manifest.values())
        keys = {"S3_ACCESS_KEY": seaweed.access_key, "S3_SECRET_KEY": seaweed.secret_key}
        direct = ("benchmarks.direct", [cap.url, BUCKET, PREFIX, str(file)], keys)
        await self._step("origin, no cache", total, cap, [direct])
        await self._told("mounting on each node", _each(nodes, lambda node: node.mount(DATASET)))
        readers: list[Reader] = [
            ("benchmarks.read", [str(node.mountpoint), str(file)], {}) for node in nodes
        ]
        await self._step(f"cold, {nodes[0].name}", total, cap, readers[:1])
        others = " + ".join(node.name for node in nodes[1:])
        await self._step(f"{others} at once", total, cap, readers[1:])
        # A new mount has nothing of the old one's in the kernel's page cache.
        await self._told("mounting anew, for a fresh page cache", _remount(nodes[0]))
        module, arguments, environment = readers[0]
        warm = (module, [*arguments, "--hash-after"], environment)
        await self._step(f"warm, {nodes[0].name}", total, cap, [warm])

    async def _step(self, name: str, total: int, cap: Cap, readers: Sequence[Reader]) -> None:
        """Run readers at the same time, and keep what they and the cap's counters say."""
        before = cap.counts.object_bytes
        async with self._bar(name, total * len(readers)) as add:
            ends = await asyncio.gather(
                *(
                    measure(module, arguments, environment=environment, progress=add)
                    for module, arguments, environment in readers
                )
            )
        step = Step(
            name=name,
            seconds=max(end.seconds for end in ends),
            bytes=sum(end.bytes for end in ends),
            unique=total,
            asked=cap.counts.object_bytes - before,
            wrong=[file for end in ends for file in end.wrong],
        )
        self._steps.append(step)
        self._say(f"{name}: {step.seconds:.1f} s, {step.throughput}")

    @contextlib.asynccontextmanager
    async def _bar(self, name: str, total: int) -> AsyncIterator[Callable[[int], None]]:
        task = self._progress.add_task(name, total=total)
        yield lambda size: self._progress.advance(task, size)
        self._progress.update(task, completed=total)

    async def _told(self, what: str, work: Awaitable[T]) -> T:
        """Say what is being done, and how long it took."""
        start = time.monotonic()
        result = await work
        self._say(f"{what}: {time.monotonic() - start:.1f} s")
        return result

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False)


async def _each(nodes: Sequence[Node], work: Callable[[Node], Awaitable[None]]) -> None:
    await asyncio.gather(*(work(node) for node in nodes))


async def _remount(node: Node) -> None:
    await node.umount()
    await node.mount(DATASET)


async def _in_thread(work: Callable[[], T]) -> T:
    """`work` in a thread; when cancelled, only once that has ended, for it cannot be stopped."""
    running = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _check_environment(size: int) -> None:
    """Say before anything is started what cannot work.

    Raises:
        EnvironmentUnfit: no FUSE, or no room.
    """
    if not Path("/dev/fuse").exists():
        raise EnvironmentUnfit(
            "there is no /dev/fuse: load the module fuse, or, in a container, "
            "start it with --device /dev/fuse --cap-add SYS_ADMIN"
        )
    place = Path(tempfile.gettempdir())
    free, needed = shutil.disk_usage(place).free, _ON_DISK * size
    if free < needed:
        raise EnvironmentUnfit(
            f"{place} has {format_size(free)} free, and this needs {format_size(needed)}: "
            "set TMPDIR to another place, or make SIZE smaller"
        )


async def _interruptible(demo: Demo) -> bool:
    """Ctrl-C and SIGTERM cancel it once; further ones do not disturb the cleaning up."""
    task = asyncio.current_task()
    assert task is not None
    signals = (signal.SIGINT, signal.SIGTERM)
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        for number in signals:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in signals:
        loop.add_signal_handler(number, interrupt)
    return await demo.run()


def main() -> int:
    """0: all went well; 1: a hash was wrong, or it failed; 130: interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--size", default="1.16GiB", help="of the model (default: 1.16GiB)")
    parser.add_argument("--rate", default="18.5MiB", help="of the origin, per second (18.5MiB)")
    given = parser.parse_args()
    console = Console()
    try:
        demo = Demo(parse_size(given.size), parse_size(given.rate), console)
        return 0 if asyncio.run(_interruptible(demo)) else 1
    except asyncio.CancelledError:
        console.print("interrupted")
        return 130
    except (MeshcacheError, CommandFailed, RuntimeError, OSError) as error:
        console.print(f"demo: {error}", style="red", highlight=False, markup=False)
        return 1


if __name__ == "__main__":
    sys.exit(main())
