"""``make soak``: a mount under readers of all kinds while its worker or its agent is killed, or its
worker is replaced on demand.

Two agents; one holds what is mounted at the other. Readers (`benchmarks.load`) compare every byte.
For each kill the pause is the longest operation of any reader that was under way at that moment, so
it has in it what the readers take from each other, too.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import workers
from benchmarks.load import Load, Report, write_files
from benchmarks.mesh import Mesh, Node
from meshcache.units import KIB, MIB

CACHE = 128 * MIB
"""Bytes of each store; a mount's worker may map a quarter of it, so it asks the agent often."""

Kill = Callable[["Stage", random.Random], Awaitable[float]]


class Stage(NamedTuple):
    """What is mounted, and where."""

    node: Node
    keeper: int
    """Process id."""
    key: Path
    seed_address: str


def files_of(chance: random.Random) -> dict[str, bytes]:
    """64 MiB in large files, and 1,000 small ones in folders."""
    large = {f"large/{n}": chance.randbytes(8 * MIB + n) for n in range(8)}
    return large | {
        f"small/{n % 17}/{n}": chance.randbytes(chance.randrange(1, 64 * KIB)) for n in range(1000)
    }


async def kill_worker(stage: Stage, chance: random.Random) -> float:
    """SIGKILL the worker that serves; gives when."""
    await asyncio.sleep(chance.uniform(0.2, 2.0))
    worker = await asyncio.to_thread(workers.serving, stage.keeper)
    moment = time.time()
    os.kill(worker, signal.SIGKILL)
    return moment


async def kill_agent(stage: Stage, chance: random.Random) -> float:
    """SIGKILL the agent, and start it again."""
    await asyncio.sleep(chance.uniform(0.2, 2.0))
    moment = time.time()
    await stage.node.kill()
    await stage.node.start(stage.key, CACHE, stage.seed_address)
    return moment


async def upgrade(stage: Stage, chance: random.Random) -> float:
    """Replace the worker on demand; gives when."""
    await asyncio.sleep(chance.uniform(0.2, 1.0))
    moment = time.time()
    await stage.node.cli("upgrade-worker", str(stage.node.mountpoint))
    return moment


PARTS: dict[str, Kill] = {"worker": kill_worker, "agent": kill_agent, "upgrade": upgrade}


def described(part: str, moments: Sequence[float], report: Report) -> dict[str, object]:
    """One part's figures."""
    pauses = sorted(report.pauses(moments))
    return {
        "part": part,
        "times": len(moments),
        "operations": report.operations,
        "errors": len(report.errors),
        "wrong": report.wrong,
        "pause_median": round(statistics.median(pauses), 3),
        "pause_p99": round(pauses[min(len(pauses) - 1, int(len(pauses) * 0.99))], 3),
        "pause_max": round(pauses[-1], 3),
    }


async def soak(parts: Sequence[str], kills: int, seed: int) -> AsyncGenerator[dict[str, object]]:
    """Run these parts; gives the figures of each when it has ended."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="meshcache-soak-") as name:
        folder = Path(name)
        truth = write_files(folder / "origin", files_of(chance))
        async with Mesh(folder, ["holds", "mounts"], CACHE) as mesh:
            other, node = mesh.nodes
            await other.cli("dataset", "create", "data", f"file://{truth}")
            await other.cli("load", "data", "--wait")
            await node.mount("data")
            keeper = json.loads(await node.cli("status", "-o", "json"))["mounts"][0]["pid"]
            stage = Stage(node, keeper, folder / "mesh.key", other.gossip)
            for part in parts:
                with Load(node.mountpoint, truth, chance.randrange(1 << 30)) as load:
                    moments = [await PARTS[part](stage, chance) for _ in range(kills)]
                    report = await asyncio.to_thread(load.end, 90.0)
                for error in report.errors[:20]:
                    print(error, file=sys.stderr)
                yield described(part, moments, report)


async def show(parts: Sequence[str], kills: int, seed: int) -> bool:
    """Print the figures of these parts; whether nothing went wrong."""
    sound = True
    async with contextlib.aclosing(soak(parts, kills, seed)) as results:
        async for result in results:
            print(json.dumps(result), flush=True)
            sound = sound and not result["errors"] and not result["wrong"]
    return sound


def main() -> int:
    parser = argparse.ArgumentParser("benchmarks.survive", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="or upgrades, of each part")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave nothing mounted
    parts = options.part or tuple(PARTS)
    return 0 if asyncio.run(show(parts, options.kills, options.seed)) else 1


if __name__ == "__main__":
    sys.exit(main())
