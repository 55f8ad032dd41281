"""What a run measured, as Markdown."""

from collections.abc import Callable, Sequence

from benchmarks.datapath import sections
from benchmarks.datapath.results import Run, Sample, Spread, ratio, spread
from benchmarks.datapath.sections import Line, Section
from benchmarks.datapath.subjects import LIMITS
from benchmarks.machine import same
from meshcache.units import GIB, MIB


def short(number: float) -> str:
    """Three digits that count."""
    size = abs(number)
    digits = 0 if size == 0 or size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{number:,.{digits}f}"


def _spread(found: Spread | None) -> str:
    if found is None:
        return "-"
    return f"**{short(found.median)}** ({short(found.least)}-{short(found.most)})"


def _grid(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _table(section: Section, subjects: Sequence[str], cell: Callable[[Line, str], str]) -> str:
    """A row for each line in which any subject has something."""
    rows = []
    for line in section.lines:
        row = [cell(line, subject) for subject in subjects]
        if set(row) != {"-"}:
            rows.append([line.text, *row])
    return _grid(["", *subjects], rows)


def figures(run: Run, section: Section) -> str:
    """Median, least and most of each line and subject."""
    rows = [
        [
            line.text,
            line.unit + ("" if line.higher else " (less is better)"),
            *(_spread(spread(run.values(line.cell, subject))) for subject in section.subjects),
        ]
        for line in section.lines
    ]
    return _grid(["", "in", *section.subjects], rows)


def ratios(run: Run, section: Section) -> str:
    """How many times better we are than each, of the medians (and of any one round)."""

    def cell(line: Line, subject: str) -> str:
        return _spread(ratio(run, line.cell, section.ours, subject, higher=line.higher))

    others = [name for name in section.subjects if name != section.ours]
    return _table(section, others, cell)


def cpu(run: Run, section: Section) -> str:
    """CPU-seconds of the subject's processes for each GiB that was read."""
    return _cost(run, section, lambda s: s.cpu / (s.bytes / GIB) if s.bytes > MIB else None)


def memory(run: Run, section: Section) -> str:
    """MiB of RssAnon of all the subject's processes."""
    return _cost(run, section, lambda s: s.memory / MIB if s.memory else None)


def _cost(run: Run, section: Section, of: Callable[[Sample], float | None]) -> str:
    def cell(line: Line, subject: str) -> str:
        costs = [cost for s in run.of(line.cell, subject) if (cost := of(s)) is not None]
        found = spread(costs)
        return short(found.median) if found else "-"

    return _table(section, [name for name in section.subjects if name not in LIMITS[:1]], cell)


def behind(run: Run, section: Section) -> list[str]:
    """Lines at which our median is worse than all that the best rival measured."""
    found = []
    for line in section.lines:
        mine = spread(run.values(line.cell, section.ours))
        rivals = {
            name: theirs
            for name in section.rivals
            if (theirs := spread(run.values(line.cell, name))) is not None
        }
        if mine is None or not rivals:
            continue
        best = (max if line.higher else min)(rivals, key=lambda name: rivals[name].median)
        bound = rivals[best].least if line.higher else rivals[best].most
        if (mine.median < bound) if line.higher else (mine.median > bound):
            times = ratio(run, line.cell, section.ours, best, higher=line.higher)
            assert times is not None
            found.append(f"{line.text} ({line.cell}): {times.median:.2f} of {best}")
    return found


def report(run: Run) -> str:
    """All tables, and what they were measured on."""
    versions = ", ".join(f"{name} {said}".strip() for name, said in run.versions.items())
    parts = [
        "# The data path, beside others",
        f"{run.began}, {run.machine}; busy {run.busy:.0f} %. {versions}.",
    ]
    for section in sections.of(run):
        parts += [
            f"## Figures of {section.title}: median (least-most)",
            figures(run, section),
            f"## Ratios: {section.ours} is so many times better than",
            ratios(run, section),
            "## CPU-seconds of the subject for each GiB read",
            cpu(run, section),
            "## MiB of RssAnon, all processes of the subject",
            memory(run, section),
            "## Where we are behind the best rival",
            "\n".join(f"- {line}" for line in behind(run, section)) or "nowhere",
        ]
    parts += ["## Settings", *(f"- {name}: {said}" for name, said in run.settings.items())]
    failed = [f"- {s.cell}, {s.subject}: {s.error.splitlines()[0]}" for s in run.failures()]
    if failed:
        parts += ["## Failed", "\n".join(failed)]
    cut = sorted({(s.cell, s.subject) for s in run.samples if s.value is not None and not s.whole})
    if cut:
        stopped = ", ".join(f"{subject} at {cell}" for cell, subject in cut)
        parts.append("Stopped by the time given, and counted as far as it came: " + stopped)
    return "\n\n".join(parts) + "\n"


def compare(before: Run, after: Run) -> str:
    """How many times better each subject is in the second run.

    Raises:
        OtherMachine: they are of different machines.
    """
    same(before.machine, after.machine)
    tables = []
    for section in sections.of(after):

        def cell(line: Line, subject: str) -> str:
            then = spread(before.values(line.cell, subject))
            now = spread(after.values(line.cell, subject))
            if then is None or now is None or not then.median or not now.median:
                return "-"
            times = now.median / then.median
            return short(times if line.higher else 1 / times)

        tables.append(_table(section, section.subjects, cell))
    return "\n\n".join(tables)
