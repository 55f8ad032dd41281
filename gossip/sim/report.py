"""Figures as tables: one for a terminal, one for a document."""

from collections.abc import Iterable, Sequence
from statistics import fmean, median

from meshcache.gossip.sim.goals import Figure

_PLAIN = "{:4}{:62}{:>7}{:>9}  {:24}{:24}{}\n"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _spread(values: Sequence[float], judged: str) -> str:
    """The numbers of a cell, and of how many rows."""
    if not values:
        return "-"
    if judged == "total":
        return f"{_number(sum(values))} in {len(values)}"
    if judged == "mean":
        return f"{_number(fmean(values))} ({len(values)})"
    return f"{_number(median(values))} / {_number(max(values))} ({len(values)})"


def plain(figures: Iterable[Figure]) -> str:
    """A line for each figure, two columns of numbers."""
    lines = [
        "median / worst (rows), or mean (rows), or sum in so many rows\n",
        _PLAIN.format("", "", "members", "target", "ours", "memberlist", "verdict"),
    ]
    lines += [
        _PLAIN.format(
            one.goal,
            one.what,
            one.members,
            "" if one.target is None else _number(one.target),
            _spread(one.ours, one.judged),
            _spread(one.theirs, one.judged),
            one.verdict,
        )
        for one in figures
    ]
    return "".join(lines)


def markdown(figures: Iterable[Figure]) -> str:
    """The same for a document, with the commits."""
    lines = [
        "| goal | what | N | target | ours | memberlist | verdict | commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    last = ""
    for one in figures:
        what = "" if (one.goal + one.what) == last else one.what
        last = one.goal + one.what
        cells = (
            one.goal if what else "",
            what,
            f"{one.members:,}",
            "" if one.target is None else _number(one.target),
            _spread(one.ours, one.judged),
            _spread(one.theirs, one.judged),
            one.verdict,
            ", ".join(one.code),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
