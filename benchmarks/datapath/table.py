"""What a run measured, as Markdown."""

from collections.abc import Callable, Sequence

from benchmarks.datapath.cells import CELLS, Cell
from benchmarks.datapath.results import Run, Sample, Spread, ratio, spread
from benchmarks.datapath.subjects import LIMITS, OURS, SUBJECTS
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


def _subjects(run: Run) -> list[str]:
    present = {sample.subject for sample in run.samples}
    return [name for name in SUBJECTS if name in present]


def _cells(run: Run) -> list[Cell]:
    present = {sample.cell for sample in run.samples}
    return [cell for name, cell in CELLS.items() if name in present]


def _grid(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figures(run: Run) -> str:
    """Median, least and most of each cell and subject."""
    subjects = _subjects(run)
    rows = [
        [
            f"{cell.state.value}: {cell.text}",
            cell.unit.name + ("" if cell.unit.higher else " (less is better)"),
            *(_spread(spread(run.values(cell.name, subject))) for subject in subjects),
        ]
        for cell in _cells(run)
    ]
    return _grid(["", "in", *subjects], rows)


def ratios(run: Run, *, ours: str = OURS) -> str:
    """How many times better we are than each, of the medians (and of any one round)."""
    subjects = [name for name in _subjects(run) if name != ours]
    rows = [
        [
            f"{cell.state.value}: {cell.text}",
            *(
                _spread(ratio(run, cell.name, ours, subject, higher=cell.unit.higher))
                for subject in subjects
            ),
        ]
        for cell in _cells(run)
    ]
    return _grid(["x", *subjects], rows)


def _by(run: Run, of: Callable[[Sample], float | None]) -> str:
    subjects = [name for name in _subjects(run) if name not in LIMITS[:1]]
    rows = []
    for cell in _cells(run):
        row = []
        for subject in subjects:
            values = [value for s in run.of(cell.name, subject) if (value := of(s)) is not None]
            found = spread(values)
            row.append(short(found.median) if found else "-")
        if set(row) != {"-"}:
            rows.append([f"{cell.state.value}: {cell.text}", *row])
    return _grid(["", *subjects], rows)


def cpu(run: Run) -> str:
    """CPU-seconds of the subject's processes for each GiB that was read."""
    return _by(run, lambda s: s.cpu / (s.bytes / GIB) if s.bytes > MIB else None)


def memory(run: Run) -> str:
    """MiB of RssAnon of all the subject's processes."""
    return _by(run, lambda s: s.memory / MIB)


def behind(run: Run) -> list[str]:
    """Cells at which our median is worse than all that the best rival measured."""
    found = []
    for cell in _cells(run):
        mine = spread(run.values(cell.name, OURS))
        rivals = [
            (name, theirs)
            for name in _subjects(run)
            if name not in (OURS, *LIMITS) and (theirs := spread(run.values(cell.name, name)))
        ]
        if mine is None or not rivals:
            continue
        if cell.unit.higher:
            name, best = max(rivals, key=lambda rival: rival[1].median)
            is_behind = mine.median < best.least
        else:
            name, best = min(rivals, key=lambda rival: rival[1].median)
            is_behind = mine.median > best.most
        if is_behind:
            times = ratio(run, cell.name, OURS, name, higher=cell.unit.higher)
            assert times is not None
            found.append(f"{cell.name} ({cell.text}): {times.median:.2f} of {name}")
    return found


def report(run: Run) -> str:
    """All tables, and what they were measured on."""
    versions = ", ".join(f"{name} {said}".strip() for name, said in run.versions.items())
    failed = [f"{s.cell}, {s.subject}: {s.error.splitlines()[0]}" for s in run.failures()]
    cut = sorted({(s.cell, s.subject) for s in run.samples if s.value is not None and not s.whole})
    parts = [
        "# The data path, beside others",
        f"{run.began}, {run.machine}; busy {run.busy:.0f} %. {versions}.",
        "## Figures: median (least-most)",
        figures(run),
        "## Ratios: meshcache is so many times better than",
        ratios(run),
        "## CPU-seconds of the subject for each GiB read",
        cpu(run),
        "## MiB of RssAnon, all processes of the subject",
        memory(run),
        "## Where meshcache is behind the best rival",
        "\n".join(f"- {line}" for line in behind(run)) or "nowhere",
        "## Settings",
        "\n".join(f"- {name}: {said}" for name, said in run.settings.items()),
    ]
    if failed:
        parts += ["## Failed", "\n".join(f"- {line}" for line in failed)]
    if cut:
        stopped = ", ".join(f"{subject} at {cell}" for cell, subject in cut)
        parts += ["Stopped by the time given, and counted as far as it came: " + stopped]
    return "\n\n".join(parts) + "\n"


def compare(before: Run, after: Run) -> str:
    """How many times better each subject is in the second run.

    Raises:
        OtherMachine: they are of different machines.
    """
    same(before.machine, after.machine)
    subjects = [name for name in _subjects(after) if name in _subjects(before)]
    rows = []
    for cell in _cells(after):
        row = []
        for subject in subjects:
            then = spread(before.values(cell.name, subject))
            now = spread(after.values(cell.name, subject))
            if then is None or now is None or not then.median or not now.median:
                row.append("-")
            elif cell.unit.higher:
                row.append(short(now.median / then.median))
            else:
                row.append(short(then.median / now.median))
        rows.append([f"{cell.state.value}: {cell.text}", *row])
    return _grid(["", *subjects], rows)
