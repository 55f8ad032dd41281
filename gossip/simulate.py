"""Run the protocol in virtual time: ``python -m meshcache.gossip.simulate``.

run FILE      a scenario (see `meshcache.gossip.sim.scenario`), with all safety checkers
chaos         random scenarios, one for each seed
goals         the goals that a simulation can try: target, ours, memberlist with Lifeguard under
              the same seeds, verdict
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from meshcache.gossip.errors import GossipError
from meshcache.gossip.sim import report
from meshcache.gossip.sim.chaos import scenario
from meshcache.gossip.sim.drawing import draw
from meshcache.gossip.sim.goals import MEASURES, Figure, chosen
from meshcache.gossip.sim.samples import Samples, commit
from meshcache.gossip.sim.scenario import Scenario

_GOALS = sorted({measure.goal for measure in MEASURES}, key=lambda name: int(name[1:]))


def _figures(options: argparse.Namespace, samples: Samples) -> Iterable[Figure]:
    """What was taken, or (without a file of such) is taken now."""
    wanted = chosen(options.goal)
    if options.file is not None:
        sizes = dict.fromkeys(chosen(options.goal or _GOALS), samples.sizes)
    else:
        sizes = {
            one: [size for size in options.members if one.fits(size)]
            or ([one.sizes[0]] if one.sizes[0] == one.sizes[1] else [max(one.sizes[0], 100)])
            for one in wanted
            if not options.members or any(one.fits(size) for size in options.members)
        }
        seeds = range(options.seed, options.seed + options.runs)
        runs = [run for one, at in sizes.items() for size in at for run in one.wants(size, seeds)]
        for sample in samples.collect(runs, jobs=options.jobs, code=commit()):
            sys.stderr.write(f"{sample.run}, {sample.members} members, seed {sample.seed}\n")
    for measure, made_for in sizes.items():
        for size in made_for:
            figure = measure.figure(samples, size)
            if figure is not None:
                yield figure


def goals(options: argparse.Namespace) -> int:
    """Measure (or read what was measured), print, keep and draw; 0 if every target is met."""
    figures = list(_figures(options, Samples(options.file or options.save)))
    show = report.markdown if options.markdown else report.plain
    sys.stdout.write(show(figures))
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
        "file", nargs="?", type=Path, help="run: the scenario; goals: runs saved before"
    )
    parser.add_argument("--members", type=int, nargs="+", default=[], help="sizes of the mesh")
    parser.add_argument("--runs", type=int, default=5, help="how many seeds")
    parser.add_argument("--seed", type=int, default=1, help="the first; each run has the next")
    parser.add_argument("--loss", type=float, default=0.0, help="run: share of segments lost")
    parser.add_argument(
        "--goal", nargs="+", default=[], choices=_GOALS, help="goals: these (else: all quick ones)"
    )
    parser.add_argument(
        "--save", type=Path, help="goals: keep what each run gave here; what is there is not run"
    )
    parser.add_argument("--jobs", type=int, default=1, help="goals: so many runs at once")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="goals: draw them as PNG here")
    parser.add_argument("--markdown", action="store_true", help="goals: as a table for a document")
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
