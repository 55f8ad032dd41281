"""The goals that a simulation can try: what is measured, the target, and how it is judged.

A table: one `Measure` a line of it. `take` runs one at one size and gives a `Figure`, which can be
kept as a line of JSON and be drawn later.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from statistics import median

import msgspec

from meshcache.gossip.sim.experiments import anomalies, deaths, growth, partitions, spreading
from meshcache.gossip.sim.memberlist.settings import LIFEGUARD, SWIM, MemberlistSettings

_STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "worst": max,
    "median": median,
    "total": sum,
}
Take = Callable[[int, int, int], Sequence[float]]
"""Members, first seed, runs -> one value for each run."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured at one size."""

    goal: str
    what: str
    members: int
    seed: int
    target: float | None
    judged: str
    """By which statistic it is judged: worst, median or total."""
    ours: list[float]
    theirs: list[float]
    """Of memberlist under the same seeds; empty if its model cannot do it."""

    def value(self, values: Sequence[float]) -> float:
        """What is compared with the target."""
        return float(_STATISTICS[self.judged](values))

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.target is None:
            return ""
        value = self.value(self.ours)
        return "met" if value <= self.target else f"missed: {value:.3g} over {self.target:.3g}"


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table."""

    goal: str
    what: str
    target: Callable[[int, int, int], float | None]
    ours: Take
    theirs: Take | None = None
    judged: str = "worst"
    sizes: tuple[int, int] = (10, 10_000)
    """The smallest and largest mesh that it is made for."""
    slow: bool = False
    """Takes minutes at every size: only when asked for by its name."""

    def take(self, members: int, seed: int, runs: int) -> Figure:
        """Measure at one size."""
        return Figure(
            goal=self.goal,
            what=self.what,
            members=members,
            seed=seed,
            target=self.target(members, seed, runs),
            judged=self.judged,
            ours=list(self.ours(members, seed, runs)),
            theirs=list(self.theirs(members, seed, runs)) if self.theirs else [],
        )


# --- experiments that more than one line needs, run once


@cache
def _deaths(members: int, seed: int, runs: int, silent: bool) -> list[deaths.Death]:
    found: list[deaths.Death] = []
    while len(found) < runs:
        found += deaths.deaths(members, seed + len(found), runs - len(found), silent=silent)
    return found


@cache
def _their_deaths(members: int, seed: int, runs: int) -> list[deaths.Death]:
    return list(deaths.memberlist_deaths(members, seed, runs))


@cache
def _events(members: int, seed: int, runs: int, loss: float) -> list[spreading.Spreading]:
    return list(spreading.events(members, seed, runs, loss=loss))


@cache
def _cells(members: int, seed: int, runs: int, timers: bool) -> list[anomalies.Anomalies]:
    return [
        anomalies.anomalies(members, seed + run, cell, timers_run=timers)
        for cell in anomalies.GRID
        for run in range(runs)
    ]


@cache
def _their_cells(
    members: int, seed: int, runs: int, settings: MemberlistSettings
) -> list[anomalies.Anomalies]:
    return [
        anomalies.memberlist_anomalies(members, seed + run, cell, settings)
        for cell in anomalies.GRID
        for run in range(runs)
    ]


def _stalls(timers: bool) -> Take:
    def take(members: int, seed: int, runs: int) -> list[float]:
        cell = anomalies.Cell(members // 4, 5.0, 1.0, 60.0)
        seen = [
            anomalies.anomalies(members, seed + n, cell, timers_run=timers) for n in range(runs)
        ]
        return [float(one.false + one.blocked) for one in seen]

    return take


def _their_stalls(members: int, seed: int, runs: int) -> list[float]:
    cell = anomalies.Cell(members // 4, 5.0, 1.0, 60.0)
    seen = [
        anomalies.memberlist_anomalies(members, seed + run, cell, MemberlistSettings())
        for run in range(runs)
    ]
    return [float(one.false + one.blocked) for one in seen]


@cache
def _storms(members: int, seed: int, runs: int) -> list[growth.Storm]:
    return [growth.storm(members, seed + run) for run in range(runs)]


@cache
def _one_way(members: int, seed: int, runs: int, egress: bool) -> list[partitions.OneWay]:
    return [partitions.one_way(members, seed + run, egress=egress) for run in range(runs)]


@cache
def _churn(members: int, seed: int, runs: int) -> list[growth.Churn]:
    return [growth.churn(members, seed + run) for run in range(runs)]


# --- the table


def _flat(target: float | None) -> Callable[[int, int, int], float | None]:
    return lambda members, seed, runs: target


def _each(measure: Callable[[int, int], float]) -> Take:
    return lambda members, seed, runs: [measure(members, seed + run) for run in range(runs)]


def _grid() -> Iterable[Measure]:
    def share_of_swim(members: int, seed: int, runs: int) -> float:
        return 0.0005 * sum(one.false for one in _their_cells(members, seed, runs, SWIM))

    yield Measure(
        goal="G4",
        what="grid: false deaths of SWIM and of Lifeguard",
        target=_flat(None),
        ours=lambda *run: [one.false for one in _their_cells(*run, SWIM)],
        theirs=lambda *run: [one.false for one in _their_cells(*run, LIFEGUARD)],
        judged="total",
        sizes=(128, 128),
        slow=True,
    )
    for timers, how in ((False, "standing"), (True, "running")):

        def healthy(members: int, seed: int, runs: int, timers: bool = timers) -> list[float]:
            return [one.false_at_healthy for one in _cells(members, seed, runs, timers)]

        def false(members: int, seed: int, runs: int, timers: bool = timers) -> list[float]:
            return [one.false for one in _cells(members, seed, runs, timers)]

        yield Measure(
            goal="G4",
            what=f"grid, timers {how}: false deaths at healthy members",
            target=_flat(0),
            ours=healthy,
            theirs=lambda *run: [one.false_at_healthy for one in _their_cells(*run, LIFEGUARD)],
            judged="total",
            sizes=(128, 128),
            slow=True,
        )
        yield Measure(
            goal="G4",
            what=f"grid, timers {how}: false deaths in all",
            target=share_of_swim,
            ours=false,
            theirs=lambda *run: [one.false for one in _their_cells(*run, LIFEGUARD)],
            judged="total",
            sizes=(128, 128),
            slow=True,
        )


def _stall_lines() -> Iterable[Measure]:
    for timers, how in ((False, "standing"), (True, "running")):
        yield Measure(
            goal="G5",
            what=f"a quarter stalls 5 s of 6 for a minute, timers {how}: deaths",
            target=_flat(0),
            ours=_stalls(timers),
            theirs=_their_stalls,
            judged="total",
            sizes=(20, 128),
        )


def _event_lines() -> Iterable[Measure]:
    for loss, target in ((0.0, 0.1), (0.2, 0.4)):

        def ours(members: int, seed: int, runs: int, loss: float = loss) -> list[float]:
            return [one.all for one in _events(members, seed, runs, loss)]

        def theirs(members: int, seed: int, runs: int, loss: float = loss) -> list[float]:
            return list(spreading.memberlist_events(members, seed, runs, loss=loss))

        yield Measure(
            goal="G7",
            what=f"event at all, {loss:.0%} of segments lost, s",
            target=_flat(target),
            ours=ours,
            theirs=theirs,
        )


def _one_way_lines() -> Iterable[Measure]:
    for egress, how in ((False, "all ingress lost, 20 s of 40"), (True, "80 % of egress lost")):

        def removed(members: int, seed: int, runs: int, egress: bool = egress) -> list[float]:
            return [one.removed for one in _one_way(members, seed, runs, egress)]

        def returns(members: int, seed: int, runs: int, egress: bool = egress) -> list[float]:
            return [one.reentries for one in _one_way(members, seed, runs, egress)]

        def others(members: int, seed: int, runs: int, egress: bool = egress) -> list[float]:
            seen = _one_way(members, seed, runs, egress)
            return [one.failed + one.suspected for one in seen]

        for what, target, ours in (
            ("removed by all, s", 15, removed),
            ("returns in 5 min", 1, returns),
            ("healthy ones accused", 0, others),
        ):
            yield Measure(
                goal="G12",
                what=f"1 % of members, {how}: {what}",
                target=_flat(target),
                ours=ours,
                sizes=(100, 2000),
                slow=True,
            )


MEASURES: tuple[Measure, ...] = (
    Measure(
        goal="G1",
        what="process killed: failed at all, s",
        target=lambda members, seed, runs: 1.0 if members <= 1000 else 2.0,
        ours=lambda *run: [one.failed_all for one in _deaths(*run, False)],
        theirs=lambda *run: [one.failed_all for one in _their_deaths(*run)],
    ),
    Measure(
        goal="G2",
        what="host silent: suspect at all, s",
        target=_flat(2.5),
        ours=lambda *run: [one.suspect_all for one in _deaths(*run, True)],
        theirs=lambda *run: [one.suspect_all for one in _their_deaths(*run)],
    ),
    Measure(
        goal="G3",
        what="host silent: failed at all, s, median",
        target=_flat(7.7),
        ours=lambda *run: [one.failed_all for one in _deaths(*run, True)],
        theirs=lambda *run: [one.failed_all for one in _their_deaths(*run)],
        judged="median",
    ),
    Measure(
        goal="G3",
        what="host silent: failed at all, s, worst",
        target=_flat(9.0),
        ours=lambda *run: [one.failed_all for one in _deaths(*run, True)],
        theirs=lambda *run: [one.failed_all for one in _their_deaths(*run)],
    ),
    *_grid(),
    *_stall_lines(),
    *_event_lines(),
    Measure(
        goal="G8",
        what="whole copies of an event at a member",
        target=_flat(1.3),
        ours=lambda *run: [one.copies for one in _events(*run, 0.0)],
        theirs=lambda members, seed, runs: [spreading.memberlist_copies(members)],
        judged="median",
    ),
    Measure(
        goal="G9",
        what="at rest: bytes sent per member and second",
        target=_flat(1100),
        ours=lambda members, seed, runs: [spreading.idle(members, seed)],
        theirs=lambda members, seed, runs: [spreading.memberlist_idle(members, seed)],
    ),
    Measure(
        goal="G11",
        what="all start at once with one seed: all know all, s",
        target=lambda members, seed, runs: 3.0 if members <= 100 else 10.0,
        ours=lambda *run: [one.all_know_all for one in _storms(*run)],
        sizes=(10, 2000),
    ),
    Measure(
        goal="G11",
        what="... view changes at a member",
        target=_flat(3),
        ours=lambda *run: [one.views for one in _storms(*run)],
        sizes=(10, 2000),
    ),
    *_one_way_lines(),
    Measure(
        goal="G13",
        what="half cut off for 60 s: healed after, s",
        target=_flat(5),
        ours=_each(lambda members, seed: partitions.heal(members, seed, apart=members // 2)),
        sizes=(10, 1000),
    ),
    Measure(
        goal="G13",
        what="one cut off for 60 s: healed after, s",
        target=_flat(5),
        ours=_each(lambda members, seed: partitions.heal(members, seed, apart=1)),
    ),
    Measure(
        goal="G14",
        what="10 % replaced a minute: a new one known to nine tenths, s",
        target=_flat(None),
        ours=lambda *run: [one.slowest for one in _churn(*run)],
        sizes=(20, 1000),
        slow=True,
    ),
    Measure(
        goal="G14",
        what="... share of a view that is wrong",
        target=_flat(0.01),
        ours=lambda *run: [one.view_error for one in _churn(*run)],
        sizes=(20, 1000),
        slow=True,
    ),
    Measure(
        goal="G14",
        what="... ghosts and missing, a minute later",
        target=_flat(0),
        ours=lambda *run: [float(one.ghosts + one.missing) for one in _churn(*run)],
        judged="total",
        sizes=(20, 1000),
        slow=True,
    ),
    Measure(
        goal="G15",
        what="100 leaves come and go a second: more bytes of others, B/s",
        target=_flat(0),
        ours=_each(growth.leaves),
        sizes=(10, 1000),
    ),
)


def chosen(goals: Iterable[str]) -> list[Measure]:
    """The lines of these goals; without any, all that are quick."""
    wanted = set(goals)
    return [one for one in MEASURES if (one.goal in wanted if wanted else not one.slow)]
