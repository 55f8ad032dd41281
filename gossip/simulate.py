"""Run the protocol in virtual time: ``python -m meshcache.gossip.simulate``.

run FILE      a scenario (see `meshcache.gossip.sim.scenario`), with all safety checkers
chaos         random scenarios, one for each seed
goals         the goals that a simulation can try: target, ours, memberlist with Lifeguard under
              the same seeds, verdict
"""

import argparse
import gc
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from meshcache.gossip.errors import GossipError
from meshcache.gossip.sim.chaos import scenario
from meshcache.gossip.sim.drawing import draw
from meshcache.gossip.sim.goals import MEASURES, Figure, chosen
from meshcache.gossip.sim.scenario import Scenario

_COLUMNS = "{:4}{:62}{:>7}{:>9}  {:24}{:24}{}\n"


def _spread(values: Sequence[float], judged: str) -> str:
    if not values:
        return "-"
    if judged == "total":
        return f"{sum(values):.6g} in {len(values)}"
    middle = sorted(values)[len(values) // 2]
    return f"{middle:.3g} ({max(values):.3g}; {len(values)})"


def _row(figure: Figure) -> str:
    return _COLUMNS.format(
        figure.goal,
        figure.what,
        figure.members,
        "" if figure.target is None else f"{figure.target:.4g}",
        _spread(figure.ours, figure.judged),
        _spread(figure.theirs, figure.judged),
        figure.verdict,
    )


def _measured(goals: Iterable[str], sizes: Sequence[int], runs: int, seed: int) -> Iterable[Figure]:
    for measure in chosen(goals):
        smallest, largest = measure.sizes
        made_for = sizes or [smallest if smallest == largest else max(smallest, 100)]
        for members in made_for:
            if smallest <= members <= largest:
                yield measure.take(members, seed, runs)
                gc.collect()


def goals(options: argparse.Namespace) -> int:
    """Measure (or read what was measured), print, keep and draw; 0 if every target is met."""
    gc.disable()  # what a run makes lives as long as the run; looking through it costs minutes
    sys.stdout.write("median (worst; runs), or sum in so many runs\n")
    sys.stdout.write(_COLUMNS.format("", "", "members", "target", "ours", "memberlist", "verdict"))
    figures: list[Figure] = []
    if options.file is not None:
        lines = options.file.read_text().splitlines()
        figures = [msgspec.json.decode(line, type=Figure) for line in lines]
        for figure in figures:
            sys.stdout.write(_row(figure))
    else:
        for figure in _measured(options.goal, options.members, options.runs, options.seed):
            figures.append(figure)
            sys.stdout.write(_row(figure))
            sys.stdout.flush()
            if options.save:
                with options.save.open("ab") as file:
                    file.write(msgspec.json.encode(figure) + b"\n")
    if options.draw:
        for path in draw(figures, options.draw):
            sys.stdout.write(f"drawn: {path}\n")
    return int(any(figure.verdict.startswith("missed") for figure in figures))


def chaos(options: argparse.Namespace) -> int:
    """Run random scenarios; 0 if all were good."""
    failed = 0
    members = options.members[0] if options.members else 12
    for number in range(options.seed, options.seed + options.runs):
        text = scenario(number, members=members)
        try:
            run = Scenario(text, seed=number).run()
        except GossipError as error:
            failed += 1
            sys.stdout.write(f"seed {number}: {error}\n{text}\n\n")
        else:
            steps = run.checkers.steps
            sys.stdout.write(f"seed {number}: good, {run.network.now:.0f} s, {steps} steps\n")
        sys.stdout.flush()
    return int(failed > 0)


def run(options: argparse.Namespace) -> int:
    """Run the scenario in a file."""
    done = Scenario(options.file.read_text(), seed=options.seed, loss=options.loss).run()
    sys.stdout.write(f"good: {done.network.now:.1f} s, {done.checkers.steps} steps checked\n")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command: 0 if all was as it should be, 1 if not, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m meshcache.gossip.simulate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("run", "chaos", "goals"))
    parser.add_argument(
        "file", nargs="?", type=Path, help="run: the scenario; goals: figures saved before"
    )
    parser.add_argument("--members", type=int, nargs="+", default=[], help="sizes of the mesh")
    parser.add_argument("--runs", type=int, default=5, help="how many of each")
    parser.add_argument("--seed", type=int, default=1, help="the first; each run has the next")
    parser.add_argument("--loss", type=float, default=0.0, help="run: share of segments lost")
    names = sorted({measure.goal for measure in MEASURES}, key=lambda name: int(name[1:]))
    parser.add_argument(
        "--goal", nargs="+", default=[], choices=names, help="goals: these (else: all quick ones)"
    )
    parser.add_argument("--save", type=Path, help="goals: append the figures, a line of JSON each")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="goals: draw them as PNG here")
    options = parser.parse_args(arguments)
    if options.what == "run" and options.file is None:
        parser.error("run needs the file of a scenario")
    try:
        return {"run": run, "chaos": chaos, "goals": goals}[options.what](options)
    except (GossipError, OSError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
