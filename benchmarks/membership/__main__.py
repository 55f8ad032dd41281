"""``run`` measures, ``table`` and ``plot`` show what was measured."""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from benchmarks.membership import parts, report
from benchmarks.membership.measures import MEASURES
from benchmarks.membership.subjects import SUBJECTS
from meshcache.errors import EnvironmentUnfit

FOLDER = Path("build/membership")
STARTS = 3


class Stage(NamedTuple):
    """What is measured with one mesh of each subject."""

    members: int
    measures: tuple[str, ...]
    together: bool = False
    """All subjects at the same time: small meshes leave most of two cores idle, and what waits for
    a quota or a cut does not hang on the CPU."""


_MANY = ("starts=3", "events=15", "leaves=5", "idle", "silences=5", "kills=20")
_LARGE = ("starts=2", "events=15", "leaves=4", "idle", "silences=5", "kills=15")
PLAN = (
    Stage(100, _LARGE),
    Stage(60, _LARGE),
    Stage(30, _MANY, together=True),
    Stage(10, _MANY, together=True),
    Stage(40, ("stalls", "starvation=6"), together=True),
    Stage(20, ("halves=2",), together=True),
    Stage(20, ("one=2",), together=True),
)
"""The largest first: they need a quiet machine (a quarter of an hour each), the others do not."""


def counts(names: list[str]) -> dict[str, int]:
    """Measure -> samples, of words like ``kills`` or ``kills=5``."""
    defaults = {name: measure.samples for name, measure in MEASURES.items()} | {"starts": STARTS}
    chosen = {}
    for name in names:
        measure, _, number = name.partition("=")
        if measure not in defaults or (number and not number.isdigit()):
            raise EnvironmentUnfit(f"no measure {name!r}: choose from {', '.join(defaults)}")
        chosen[measure] = int(number or defaults[measure])
    return chosen


def run(given: argparse.Namespace) -> None:
    """Measure all subjects in turn, size by size."""
    if os.geteuid() != 0:
        raise EnvironmentUnfit("this needs root, to make network namespaces")
    subjects = given.subjects.split(",")
    if unknown := set(subjects) - SUBJECTS.keys():
        raise EnvironmentUnfit(f"no subject {unknown.pop()!r}: choose from {', '.join(SUBJECTS)}")
    plan = [stage for stage in PLAN if given.members in (None, stage.members)]
    if given.measure:
        plan = [Stage(given.members or 10, tuple(given.measure), given.together)]
    for stage in plan or [Stage(given.members, _MANY)]:
        wanted = counts(list(stage.measures))
        at_once = len(subjects) if stage.together else 1
        with ProcessPoolExecutor(at_once, max_tasks_per_child=1) as pool:
            taken = [
                pool.submit(parts.take, subject, stage.members, wanted, given.seed, given.out)
                for subject in subjects
            ]
            for one in as_completed(taken):
                print(one.result())


def table(given: argparse.Namespace) -> None:
    """Print the table of all parts."""
    found = parts.load([given.out])
    print(report.table(found), report.context(found), sep="\n\n")


def plot(given: argparse.Namespace) -> None:
    """Draw the plots."""
    from benchmarks.membership import plots

    for file in plots.draw(parts.load([given.out]), given.images):
        print(file)


def main() -> int:
    """Parse, run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.membership", description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the measured parts")
    commands = parser.add_subparsers(required=True)
    runner = commands.add_parser("run", help=run.__doc__)
    runner.add_argument("--subjects", default=",".join(SUBJECTS))
    runner.add_argument("--members", type=int, help="only this size")
    runner.add_argument("--seed", type=int, default=1)
    runner.add_argument(
        "--measure", nargs="*", help=f"NAME[=SAMPLES] of: starts, {', '.join(MEASURES)}"
    )
    runner.add_argument(
        "--together", action="store_true", help="with --measure: all subjects at the same time"
    )
    runner.set_defaults(command=run)
    commands.add_parser("table", help=table.__doc__).set_defaults(command=table)
    plotter = commands.add_parser("plot", help=plot.__doc__)
    plotter.add_argument("--images", type=Path, default=FOLDER)
    plotter.set_defaults(command=plot)
    given = parser.parse_args()
    try:
        given.command(given)
    except EnvironmentUnfit as error:
        sys.stderr.write(f"bench-gossip: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
