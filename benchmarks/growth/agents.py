"""One dataset read by 1 to 16 agents at the same time, each behind a link of its own.

Once by agents of one mesh, once by as many that do not know each other: so it is seen what the
mesh takes off the origin. The origin has a cap, the links are as fast as the origin, and both are
slow enough for the machine to have time left.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.cap import Cap
from benchmarks.growth.links import HUB, Link, bridge
from benchmarks.growth.points import Point
from benchmarks.janitor import watched
from benchmarks.mesh import Mesh, Node
from benchmarks.usage import Busy, cpu_seconds
from meshcache.agent.client import AgentClient
from meshcache.units import MIB
from tests.support.seaweed import Seaweed

COUNTS = (1, 2, 4, 8, 16)
SIZE = 64 * MIB
RATE = 12 * MIB
"""Bytes per second of the origin and of each link."""
TOGETHER, APART = "one mesh", "agents apart"
ABOUT = (
    f"{SIZE // MIB} MiB read whole by each agent, in files of 8 MiB; "
    f"origin and each link {RATE // MIB} MiB/s"
)
_FILES = 8
_BUCKET = "data"


async def measure(counts: tuple[int, ...], keep: Callable[[Point], None]) -> None:
    """All counts, both ways. Needs root, and a network namespace of our own."""
    with (
        tempfile.TemporaryDirectory(prefix="growth-", dir="/dev/shm") as name,
        watched(Path(name)),
        bridge(),
        Seaweed(Path(name) / "origin") as server,
    ):
        server.make_bucket(_BUCKET)
        for number in range(_FILES):
            server.put(_BUCKET, f"{number}.bin", os.urandom(SIZE // _FILES))
        for count in counts:
            for curve in (TOGETHER, APART):
                with tempfile.TemporaryDirectory(prefix="m", dir=name) as folder:
                    keep(await _one(Path(folder), server, count, curve))


async def _one(folder: Path, server: Seaweed, count: int, curve: str) -> Point:
    with ExitStack() as stack:
        links = [stack.enter_context(Link(number, RATE)) for number in range(count)]
        groups = [links] if curve == TOGETHER else [[link] for link in links]
        meshes = [_mesh(folder / f"m{number}", group) for number, group in enumerate(groups)]
        async with Cap(server.endpoint, rate=RATE, host=HUB) as cap:
            try:
                for mesh in meshes:
                    await mesh.start()
                    await mesh.nodes[0].create(_BUCKET, server, cap.url)
                nodes = [node for mesh in meshes for node in mesh.nodes]
                await asyncio.gather(*(_knows(node) for node in nodes))
                cap.reset()
                return await _read(nodes, cap, count, curve)
            finally:
                await asyncio.gather(*(mesh.stop() for mesh in meshes))


def _mesh(folder: Path, links: list[Link]) -> Mesh:
    mesh = Mesh(folder, [f"n{number}" for number in range(len(links))], 4 * SIZE)
    for node, link in zip(mesh.nodes, links, strict=True):
        node.folder.mkdir(parents=True)
        node.host, node.enter = link.address, link.enter
        node.flags = ("--secret-root", str(folder))  # beyond loopback secrets need a root
    return mesh


async def _knows(node: Node) -> None:
    """Wait until the node's agent shows the dataset."""
    async with asyncio.timeout(30), AgentClient(socket=node.socket) as client:
        while not any(d["phase"] == "Bound" for d in await client.datasets()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _read(nodes: list[Node], cap: Cap, count: int, curve: str) -> Point:
    before = [cpu_seconds(node.pid) for node in nodes]
    busy, began = Busy(), time.perf_counter()
    await asyncio.gather(*(_all(node) for node in nodes))
    seconds = time.perf_counter() - began
    cpu = sum(cpu_seconds(node.pid) for node in nodes) - sum(before)
    return Point(
        curve,
        count,
        {
            "seconds": seconds,
            "origin": cap.counts.object_bytes / SIZE,
            "cpu": cpu,
            "cpu_per_gib": cpu / (count * SIZE / 2**30),
            "busy": busy.percent(),
        },
    )


async def _all(node: Node) -> None:
    async with AgentClient(socket=node.socket) as client:
        for number in range(_FILES):
            async for _ in client.read(_BUCKET, f"{number}.bin"):
                pass
