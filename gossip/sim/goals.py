"""The goals that a simulation can try: what is measured, the target, and how it is judged.

A table: one `Measure` a line of it. What it is measured with are the runs of
`experiments.runs`; `figure` makes the line's numbers from the samples that were taken of them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean, median

import msgspec

from meshcache.gossip.sim.samples import Samples, Wanted, column

STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "worst": max,
    "median": median,
    "mean": fmean,
    "total": sum,
}


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured at one size."""

    goal: str
    what: str
    members: int
    target: float | None
    judged: str
    """By which statistic it is judged."""
    ours: list[float]
    theirs: list[float]
    """Of memberlist under the same seeds; empty if its model cannot do it."""
    code: tuple[str, ...] = ()
    """The commits at which ours was taken."""

    def value(self, values: Sequence[float]) -> float:
        """What is compared with the target."""
        return float(STATISTICS[self.judged](values))

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.target is None:
            return ""
        value = self.value(self.ours)
        return "met" if value <= self.target else f"missed: {value:.3g} over {self.target:.3g}"


class Of(msgspec.Struct, frozen=True):
    """A column of a run."""

    run: str
    column: str


class Share(msgspec.Struct, frozen=True):
    """A target: so much of the mean of what another run gave."""

    part: float
    of: Of


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table."""

    goal: str
    what: str
    ours: Of
    theirs: Of | None = None
    target: float | Share | None = None
    larger: tuple[int, float] | None = None
    """Above so many members the target is another."""
    judged: str = "worst"
    sizes: tuple[int, int] = (10, 10_000)
    """The smallest and largest mesh that it is made for."""
    slow: bool = False
    """Takes minutes at every size: only when asked for by its name."""

    def fits(self, members: int) -> bool:
        """Whether it is made for a mesh of this size."""
        return self.sizes[0] <= members <= self.sizes[1]

    def wants(self, members: int, seeds: Iterable[int]) -> Iterator[Wanted]:
        """The runs that it is made from."""
        share = self.target.of if isinstance(self.target, Share) else None
        for seed in seeds:
            for one in (self.ours, self.theirs, share):
                if one is not None:
                    yield Wanted(one.run, members, seed)

    def figure(self, samples: Samples, members: int) -> Figure | None:
        """The line at one size; None if ours was not taken."""

        def values(of: Of | None) -> list[float]:
            return column(samples.of(of.run, members), of.column) if of is not None else []

        ours, target = samples.of(self.ours.run, members), self.target
        if isinstance(target, Share):
            whole = values(target.of)
            target = target.part * fmean(whole) if whole else None
        if self.larger is not None and members > self.larger[0]:
            target = self.larger[1]
        if not ours:
            return None
        return Figure(
            goal=self.goal,
            what=self.what,
            members=members,
            target=target,
            judged=self.judged,
            ours=values(self.ours),
            theirs=values(self.theirs),
            code=tuple(sorted({one.code for one in ours} - {""})),
        )


# --- the table


def _grid() -> Iterator[Measure]:
    swim, lifeguard = "grid-swim", "grid-lifeguard"
    yield Measure(
        goal="G4",
        what="grid: false deaths of SWIM, a cell, and (right) of Lifeguard",
        ours=Of(swim, "false"),
        theirs=Of(lifeguard, "false"),
        judged="mean",
        sizes=(128, 128),
        slow=True,
    )
    for how in "standing", "running":
        for where, name, target, judged in (
            ("at healthy members", "false_at_healthy", 0, "total"),
            ("in all, a cell", "false", Share(0.0005, Of(swim, "false")), "mean"),
        ):
            yield Measure(
                goal="G4",
                what=f"grid, timers {how}: false deaths {where}",
                ours=Of(f"grid-{how}", name),
                theirs=Of(lifeguard, name),
                target=target,
                judged=judged,
                sizes=(128, 128),
                slow=True,
            )


def _one_way() -> Iterator[Measure]:
    for run, how in (("deaf", "all ingress lost, 20 s of 40"), ("faint", "80 % of egress lost")):
        for what, name, target in (
            ("removed by all, s", "removed", 15),
            ("returns in 5 min", "reentries", 1),
            ("healthy ones accused", "suspected + failed", 0),
        ):
            yield Measure(
                goal="G12",
                what=f"1 % of members, {how}: {what}",
                ours=Of(run, name),
                target=target,
                sizes=(100, 2000),
                slow=True,
            )


def _churn() -> Iterator[Measure]:
    for what, name, target in (
        ("10 % replaced a minute: a new one known to nine tenths, s", "slowest", None),
        ("... share of a view that is wrong", "view_error", 0.01),
        ("... ghosts and missing, a minute later", "ghosts + missing", 0),
    ):
        yield Measure(
            goal="G14",
            what=what,
            ours=Of("churn", name),
            target=target,
            sizes=(20, 1000),
            slow=True,
        )


MEASURES: tuple[Measure, ...] = (
    Measure(
        goal="G1",
        what="process killed: failed at all, s",
        ours=Of("killed", "failed_all"),
        theirs=Of("memberlist-deaths", "failed_all"),
        target=1.0,
        larger=(1000, 2.0),
    ),
    Measure(
        goal="G2",
        what="host silent: suspect at all, s",
        ours=Of("silent", "suspect_all"),
        theirs=Of("memberlist-deaths", "suspect_all"),
        target=2.5,
    ),
    *(
        Measure(
            goal="G3",
            what=f"host silent: failed at all, s, {judged}",
            ours=Of("silent", "failed_all"),
            theirs=Of("memberlist-deaths", "failed_all"),
            target=target,
            judged=judged,
        )
        for judged, target in (("median", 7.7), ("worst", 9.0))
    ),
    *_grid(),
    *(
        Measure(
            goal="G5",
            what=f"a quarter stalls 5 s of 6 for a minute, timers {how}: deaths",
            ours=Of(f"stalls-{how}", "false + blocked"),
            theirs=Of("stalls-memberlist", "false + blocked"),
            target=0,
            judged="total",
            sizes=(20, 128),
        )
        for how in ("standing", "running")
    ),
    *(
        Measure(
            goal="G7",
            what=f"event at all, {loss} % of segments lost, s",
            ours=Of(f"events{suffix}", "all"),
            theirs=Of(f"memberlist-events{suffix}", "all"),
            target=target,
        )
        for loss, suffix, target in ((0, "", 0.1), (20, "-lossy", 0.4))
    ),
    Measure(
        goal="G8",
        what="whole copies of an event at a member",
        ours=Of("events", "copies"),
        theirs=Of("memberlist-events", "copies"),
        target=1.3,
        judged="median",
    ),
    Measure(
        goal="G9",
        what="at rest: bytes sent per member and second",
        ours=Of("rest", "bytes"),
        theirs=Of("memberlist-rest", "bytes"),
        target=1100,
    ),
    Measure(
        goal="G11",
        what="all start at once with one seed: all know all, s",
        ours=Of("storm", "all_know_all"),
        target=3.0,
        larger=(100, 10.0),
        sizes=(10, 2000),
    ),
    Measure(
        goal="G11",
        what="... view changes at a member",
        ours=Of("storm", "views"),
        target=3,
        sizes=(10, 2000),
    ),
    *_one_way(),
    Measure(
        goal="G13",
        what="half cut off for 60 s: healed after, s",
        ours=Of("halves", "healed"),
        target=5,
        sizes=(10, 1000),
    ),
    Measure(
        goal="G13",
        what="one cut off for 60 s: healed after, s",
        ours=Of("one-off", "healed"),
        target=5,
    ),
    *_churn(),
    Measure(
        goal="G15",
        what="100 leaves come and go a second: more bytes of others, B/s",
        ours=Of("leaves", "extra"),
        target=0,
        judged="mean",
        sizes=(10, 1000),
    ),
)


def chosen(goals: Iterable[str]) -> list[Measure]:
    """The lines of these goals; without any, all that are quick."""
    wanted = set(goals)
    return [one for one in MEASURES if (one.goal in wanted if wanted else not one.slow)]
