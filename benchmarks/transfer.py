"""Blocks from an agent beside the same bytes from nginx: ``python -m benchmarks.transfer``.

Both serve from memory to one and the same receiver, this process: what an agent asks other agents
with. nginx sends by sendfile. They take turns.

- *received*: blocks of 4 MiB over 1 or 4 connections, into mapped files in memory.
- *kept*: the same into the drafts of a store in memory, hashed and published, over 4.

The agent's answers carry proofs, which are checked, and checksums, which are compared when blocks
are kept; nginx's blocks are hashed as well.
"""

import argparse
import asyncio
import mmap
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.datapath.results import Sample, spread
from benchmarks.datapath.sampling import Cost
from benchmarks.mesh import Mesh
from benchmarks.nginx import nginx
from benchmarks.usage import descendants
from meshcache.agent.mesh.peers import PeerClient
from meshcache.agent.trust import meshkey
from meshcache.agent.trust.auth import Keys
from meshcache.block import DEFAULT_BLOCK_SIZE, Block, FileVersion
from meshcache.dataset import Mount
from meshcache.errors import MeshcacheError
from meshcache.http import Body, Buffers, Client, Head, Site
from meshcache.origin.open import open_origin
from meshcache.store import Store
from meshcache.units import GIB, MIB, parse_size
from meshcache.wanted import Wanted

AGENT = "meshcache agent"
NGINX = "nginx, sendfile"
_MEMORY = Path("/dev/shm")


class Cell(NamedTuple):
    """One figure, in MiB/s."""

    name: str
    streams: int
    kept: bool


CELLS = (
    Cell("received, 1 stream", 1, False),
    Cell("received, 4 streams", 4, False),
    Cell("kept, 4 streams", 4, True),
)

Get = Callable[[Block, memoryview], Awaitable[bytes | None]]
"""Receives a block; gives its checksums if the sender has told them."""


class Peer(NamedTuple):
    """What `PeerClient` asks."""

    name: str
    address: str
    store_id: str


async def measure(
    size: int, rounds: int, keep: Callable[[Sample], object], *, folder: Path = _MEMORY
) -> None:
    """Take the samples: `size` bytes for each, `rounds` of each.

    Raises:
        EnvironmentUnfit: nginx is not there, or a part does not start.
    """
    with tempfile.TemporaryDirectory(prefix="transfer-", dir=folder) as name:
        here = Path(name)
        root = here / "data"
        root.mkdir()
        count = max(4, min(64, size // DEFAULT_BLOCK_SIZE))
        (root / "file").write_bytes(os.urandom(MIB) * (count * DEFAULT_BLOCK_SIZE // MIB))
        async with AsyncExitStack() as stack:
            mesh = Mesh(here / "mesh", ["one"], 2 * GIB)
            (here / "mesh/one").mkdir(parents=True)
            await stack.enter_async_context(mesh)
            get_of = {
                AGENT: (await _agent(mesh, root, stack), mesh.nodes[0].pid),
                NGINX: await _nginx(root, here / "nginx", stack),
            }
            blocks = await _blocks(root, count)
            for turn in range(rounds):
                for cell in CELLS:
                    names = [AGENT, NGINX][:: 1 if turn % 2 else -1]
                    for subject in names:
                        get, pid = get_of[subject]
                        cost = Cost(descendants([pid]))
                        own, began = time.process_time(), time.monotonic()
                        moved = await _move(cell, get, blocks, size, here)
                        seconds = time.monotonic() - began
                        sample = Sample(cell.name, subject, turn, moved / MIB / seconds)
                        sample = msgspec.structs.replace(
                            sample,
                            seconds=seconds,
                            bytes=moved,
                            operations=moved // DEFAULT_BLOCK_SIZE,
                            cpu=cost.cpu,
                            reader_cpu=time.process_time() - own,
                        )
                        keep(sample)


async def _agent(mesh: Mesh, root: Path, stack: AsyncExitStack) -> Get:
    node = mesh.nodes[0]
    await node.cli("dataset", "create", "data", f"file://{root}")
    await node.cli("load", "data", "--wait")
    key = meshkey.load(node.folder.parent / "mesh.key", lambda line: None)
    client = PeerClient(Keys(*key))
    stack.push_async_callback(client.close)
    peer = Peer("one", node.http.removeprefix("http://"), "")

    async def get(block: Block, into: memoryview) -> bytes:
        return await client.fetch(peer, Wanted("data", block), into, only_if_held=True)

    return get


async def _nginx(root: Path, folder: Path, stack: AsyncExitStack) -> tuple[Get, int]:
    port, pid = await stack.enter_async_context(nginx(root, folder))
    client = Client(connect=5, connections=64, proxies=False)
    stack.push_async_callback(client.close)
    site = Site("http", "127.0.0.1", port)

    async def get(block: Block, into: memoryview) -> None:
        def body_of(head: Head) -> Body:
            assert head.status == 206
            return Buffers([into])

        wanted = {"Range": f"bytes={block.offset}-{block.offset + block.length - 1}"}
        await client.ask(site, "GET", "/file", wanted, body_of, silence=30)

    return get, pid


async def _blocks(root: Path, count: int) -> list[Block]:
    origin = open_origin(Mount(f"file://{root}"), {}, dict)
    try:
        (listed,) = [each async for each in origin.list()]
    finally:
        await origin.close()
    file = FileVersion(origin.identity, listed.key, listed.tag, listed.size)
    return [file.block(DEFAULT_BLOCK_SIZE, index) for index in range(count)]


async def _move(cell: Cell, get: Get, blocks: list[Block], size: int, folder: Path) -> int:
    """Move that many bytes, in blocks again and again; how many it were."""
    turns = iter(range(size // DEFAULT_BLOCK_SIZE))

    async def receive() -> None:
        with _mapped(folder) as view:
            for turn in turns:
                await get(blocks[turn % len(blocks)], view)

    async def keep(store: Store) -> None:
        for turn in turns:
            block = blocks[turn % len(blocks)]
            draft = store.reserve(block.id, block.length)
            (await draft.commit(await get(block, draft.view))).release()

    if not cell.kept:
        await asyncio.gather(*(receive() for _ in range(cell.streams)))
    else:
        with tempfile.TemporaryDirectory(prefix="store-", dir=folder) as name:
            store = Store.open(Path(name), len(blocks) * DEFAULT_BLOCK_SIZE * 2)
            await asyncio.gather(*(keep(store) for _ in range(cell.streams)))
            store.close()
    return size // DEFAULT_BLOCK_SIZE * DEFAULT_BLOCK_SIZE


@contextmanager
def _mapped(folder: Path) -> Iterator[memoryview]:
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, DEFAULT_BLOCK_SIZE)
        yield memoryview(mmap.mmap(file.fileno(), DEFAULT_BLOCK_SIZE))


def table(samples: list[Sample]) -> Table:
    """Medians, and the ratio of both."""
    shown = Table(box=None, pad_edge=False)
    for column in ("cell", "subject", "MiB/s", "min", "max", "CPU s/GiB", "of nginx"):
        shown.add_column(column, justify="left" if column in ("cell", "subject") else "right")
    for cell in CELLS:
        of = {
            subject: [s for s in samples if (s.cell, s.subject) == (cell.name, subject)]
            for subject in (AGENT, NGINX)
        }
        base = spread([s.value for s in of[NGINX] if s.value])
        for subject, some in of.items():
            rate = spread([s.value for s in some if s.value])
            cpu = spread([s.cpu / s.bytes * GIB for s in some])
            assert base is not None and rate is not None and cpu is not None
            cells = [f"{value:.0f}" for value in (rate.median, rate.least, rate.most)]
            shown.add_row(
                cell.name, subject, *cells, f"{cpu.median:.2f}", f"{rate.median / base.median:.2f}"
            )
    return shown


def main() -> int:
    """Parse, run, show."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--size", default="1GiB", help="bytes for each sample")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="keep the samples in this file")
    given = parser.parse_args()
    samples: list[Sample] = []
    try:
        uvloop.run(measure(parse_size(given.size), given.rounds, samples.append))
    except MeshcacheError as error:
        sys.stderr.write(f"transfer: {error}\n")
        return 1
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(samples), indent=1))
    Console().print(table(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
