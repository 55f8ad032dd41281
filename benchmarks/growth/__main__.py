"""``make bench-growth``: measure curves of cost, and draw them."""

import argparse
import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.growth import agents, files, links, placement
from benchmarks.growth.points import Growth, Point, save
from benchmarks.machine import this_machine
from benchmarks.mesh import CommandFailed
from meshcache.errors import EnvironmentUnfit, MeshcacheError

FOLDER = Path("build/bench")
KINDS = {"agents": agents.ABOUT, "files": files.ABOUT, "placement": placement.ABOUT}
"""And what was fixed meanwhile."""


def _measure(kind: str, most: int | None, growth: Growth, folder: Path) -> None:
    def keep(point: Point) -> None:
        growth.points.append(point)
        save(growth, folder)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in point.figures.items())
        print(f"{kind}: {point.curve}, {point.size}: {shown}", flush=True)

    def up_to(counts: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(count for count in counts if most is None or count <= most)

    match kind:
        case "agents":
            asyncio.run(agents.measure(up_to(agents.COUNTS), keep))
        case "files":
            files.measure(up_to(files.COUNTS), keep)
        case "placement":
            placement.measure(up_to(placement.COUNTS), keep)


def main() -> int:
    """0: done; 1: it failed; 2: what was given cannot be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="default: all")
    parser.add_argument("--most", type=int, help="leave out larger sizes")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of points and plots")
    parser.add_argument("--plot", action="store_true", help="only draw what was measured")
    given = parser.parse_args()
    from benchmarks.growth import plots

    try:
        if not given.plot:
            if os.geteuid() != 0:
                raise EnvironmentUnfit("this needs root, for network namespaces and page caches")
            links.alone("benchmarks.growth")
            for kind in given.kinds or KINDS:
                began = datetime.now(UTC).isoformat(timespec="seconds")
                growth = Growth(kind, began, this_machine(), KINDS[kind])
                _measure(kind, given.most, growth, given.out)
        for file in plots.draw(given.out):
            print(file)
    except (MeshcacheError, CommandFailed, RuntimeError, OSError) as error:
        sys.stderr.write(f"bench-growth: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
