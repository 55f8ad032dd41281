"""``run`` measures, ``table`` and ``plot`` show what was measured."""

import argparse
import os
import sys
from pathlib import Path

from benchmarks.membership import parts, report
from benchmarks.membership.measures import MEASURES
from benchmarks.membership.subjects import SUBJECTS
from meshcache.errors import EnvironmentUnfit

FOLDER = Path("build/membership")
ALONG_SIZES = ("starts", "events", "leaves", "idle", "silences", "kills")
PLAN = (
    *((size, ALONG_SIZES) for size in (10, 30, 60, 100)),
    (40, ("stalls", "starvation")),
    (20, ("halves",)),
    (20, ("one",)),
)
"""Sizes, and what is measured with one mesh of that size."""
STARTS = 3


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
    plan = [(size, names) for size, names in PLAN if given.members in (None, size)]
    if given.measure:
        plan = [(given.members or 10, given.measure)]
    for size, names in plan or [(given.members, ALONG_SIZES)]:
        for subject in subjects:
            part = parts.measure(subject, size, counts(list(names)), seed=given.seed)
            print(parts.save(part, given.out))


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
