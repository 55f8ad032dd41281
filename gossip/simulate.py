"""Run the protocol in virtual time: ``python -m meshcache.gossip.simulate``.

run FILE      a scenario (see `meshcache.gossip.sim.scenario`), with all safety checkers
chaos         random scenarios, one for each seed
table         our figures beside those of memberlist with Lifeguard, same seeds
"""

import argparse
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

from meshcache.gossip.errors import GossipError
from meshcache.gossip.sim import experiments
from meshcache.gossip.sim.chaos import scenario
from meshcache.gossip.sim.memberlist import MemberlistSettings
from meshcache.gossip.sim.scenario import Scenario

_WIDTH = 24
_BAR = 40


def _spread(values: Iterable[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return statistics.median(ordered), ordered[-1]


def _row(what: str, ours: Iterable[float], theirs: Iterable[float] | None, draw: bool) -> None:
    mine = _spread(ours)
    other = _spread(theirs) if theirs is not None else None
    left = f"{mine[0]:8.3f} ({mine[1]:.3f})"
    right = f"{other[0]:8.3f} ({other[1]:.3f})" if other else "-".rjust(8)
    sys.stdout.write(f"{what:44}{left:{_WIDTH}}{right:{_WIDTH}}\n")
    if draw and other:
        most = max(mine[1], other[1])
        for name, (median, _) in (("ours", mine), ("memberlist", other)):
            sys.stdout.write(f"    {name:12}{'█' * max(1, round(_BAR * median / most))}\n")
    sys.stdout.flush()


def table(members: int, runs: int, seed: int, draw: bool) -> None:
    """Print the figures of one size."""
    sys.stdout.write(
        f"{members} members, {runs} runs, seed {seed}; median (max), seconds unless named\n"
        f"{'':44}{'ours':{_WIDTH}}{'memberlist (Lifeguard)':{_WIDTH}}\n"
    )
    theirs = list(experiments.memberlist_deaths(members, seed, runs))
    killed = list(experiments.deaths(members, seed, runs, silent=False))
    silent = list(experiments.deaths(members, seed, runs, silent=True))
    all_dead = [death.failed_all for death in theirs]
    _row("process killed: failed at all", (d.failed_all for d in killed), all_dead, draw)
    suspects = [death.suspect_all for death in theirs]
    _row("host silent: suspect at all", (d.suspect_all for d in silent), suspects, draw)
    _row("host silent: failed at all", (d.failed_all for d in silent), all_dead, draw)
    for loss in (0.0, 0.2):
        _row(
            f"event at all, {loss:.0%} of segments lost",
            experiments.events(members, seed, runs, loss=loss),
            experiments.memberlist_events(members, seed, runs, loss=loss),
            draw,
        )
    _row("copies of an event at each member", [experiments.copies(members, seed, 10)], None, draw)
    _row("idle, bytes sent per member and second", [experiments.idle(members, seed)], None, draw)
    storms = [experiments.join_storm(members, seed + run) for run in range(min(runs, 3))]
    _row("all started at once with one seed: all know all", storms, None, draw)
    if members >= 20:
        cell = {"blocked": members // 4, "duration": 5.0, "gap": 1.0, "total": 60.0}
        ours = experiments.anomalies(members, seed, timers_run=True, **cell)  # type: ignore[arg-type]
        base = experiments.memberlist_anomalies(
            members,
            seed,
            settings=MemberlistSettings(suspicion_mult=5),
            **cell,  # type: ignore[arg-type]
        )
        what = "a quarter stalls 5 s, runs 1 s, for a minute:"
        _row(f"{what}\n    false deaths", [ours.false], [base.false], draw)
        _row("    stalled members held failed", [ours.blocked], [base.blocked], draw)


def chaos(members: int, runs: int, seed: int) -> int:
    """Run random scenarios; how many failed."""
    failed = 0
    for number in range(seed, seed + runs):
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
    return failed


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m meshcache.gossip.simulate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("run", "chaos", "table"))
    parser.add_argument("file", nargs="?", type=Path, help="run: the scenario")
    parser.add_argument("--members", type=int, default=12)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loss", type=float, default=0.0, help="run: share of segments lost")
    parser.add_argument("--draw", action="store_true", help="table: bars under each row")
    options = parser.parse_args(arguments)
    if options.what == "chaos":
        return 1 if chaos(options.members, options.runs, options.seed) else 0
    if options.what == "table":
        table(options.members, options.runs, options.seed, options.draw)
        return 0
    if options.file is None:
        parser.error("run needs the file of a scenario")
    try:
        text = options.file.read_text()
        run = Scenario(text, seed=options.seed, loss=options.loss).run()
    except (GossipError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"good: {run.network.now:.1f} s, {run.checkers.steps} steps checked\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
