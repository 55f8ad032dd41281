"""What was measured, as a table: least / median / most of all samples."""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.membership.parts import Part
from benchmarks.membership.subjects import SUBJECTS


class Figure(NamedTuple):
    """A line of the table."""

    measure: str
    column: str
    text: str
    unit: float = 1.0
    """Numbers are shown in this many of what was measured."""
    goal: str = ""
    """Of ours."""


FIGURES = (
    Figure("starts", "all", "N start at once: all know all, s", goal="G11: 3 at 100"),
    Figure("starts", "after_last", "the same, after the last start, s"),
    Figure("starts", "bytes", "bytes each sends for it, kB", 1000),
    Figure("kills", "join", "one starts: known to all, s"),
    Figure("kills", "first", "SIGKILL: failed at the first, s"),
    Figure("kills", "all", "SIGKILL: failed at all, s", goal="G1: 1.0"),
    Figure("silences", "suspect", "SIGSTOP: suspect at all, s", goal="G2: 2.5"),
    Figure("silences", "all", "SIGSTOP: failed at all, s", goal="G3: 7.7, at most 9"),
    Figure("events", "all", "event: at all, s", goal="G7: 0.1"),
    Figure("leaves", "all", "graceful leave: known to all, s"),
    Figure("leaves", "as_failed", "... taken for a failure by, members"),
    Figure("idle", "bytes", "idle: sent per member, B/s", goal="G9: 1100"),
    Figure("idle", "packets", "idle: sent per member, packets/s"),
    Figure("idle", "cpu", "idle: CPU per member, % of a core", goal="G10: 0.5 at 100"),
    Figure("idle", "rss", "RSS per member, MiB"),
    Figure("idle", "pss", "PSS per member, MiB"),
    Figure("stalls", "of_stalled", "a fifth stalls 5 s, x5: failures of the stalled", goal="G5: 0"),
    Figure("stalls", "of_others", "... of the others", goal="G5: 0"),
    Figure(
        "starvation",
        "false",
        "a third starves for CPU: failures of the others",
        goal="G6: serf's / 10",
    ),
    Figure("starvation", "false_at_healthy", "... declared by the others"),
    Figure("starvation", "of_starving", "... of the starving"),
    Figure("halves", "suspect", "half/half cut: the far half suspect, s"),
    Figure("halves", "failed", "half/half cut: the far half failed, s"),
    Figure("halves", "failed_far", "... the near half, at the far one, s"),
    Figure("halves", "inside", "... failures declared inside a half"),
    Figure("halves", "healed", "half/half healed: all back, s", goal="G13: 5"),
    Figure("one", "suspect", "one cut off: suspect at the others, s"),
    Figure("one", "failed", "one cut off: failed at the others, s"),
    Figure("one", "failed_far", "... all others failed at the one, s"),
    Figure("one", "inside", "... failures declared among the others"),
    Figure("one", "healed", "one healed: all back, s", goal="G13: 5"),
)


def short(number: float) -> str:
    """Three digits that count."""
    size = abs(number)
    digits = 0 if size == 0 or size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{number:.{digits}f}"


def cell(values: Sequence[float | None], unit: float = 1.0) -> str:
    """least / **median** / most (count), and how many did not happen."""
    there = [value / unit for value in values if value is not None]
    missing = len(values) - len(there)
    late = f", {missing} never" if missing else ""
    if not there:
        return f"never ({len(values)})" if values else "-"
    if len(there) == 1:
        return f"{short(there[0])}{late}"
    middle = statistics.median(there)
    return f"{short(min(there))} / **{short(middle)}** / {short(max(there))} ({len(there)}{late})"


def values(parts: Iterable[Part], figure: Figure) -> list[float | None]:
    """All samples of a figure."""
    return [row[figure.column] for part in parts for row in part.samples.get(figure.measure, ())]


def table(parts: Sequence[Part]) -> str:
    """Markdown: a line for each figure and size, a column for each subject."""
    present = {part.subject for part in parts}
    subjects = [subject for subject in SUBJECTS if subject in present]
    lines = [
        f"| goal | | N | {' | '.join(subjects)} |",
        f"|{'---|' * (3 + len(subjects))}",
    ]
    for figure in FIGURES:
        named = f"| {figure.goal} | {figure.text} |"  # once, over all sizes
        for members in sorted({part.members for part in parts}):
            cells = [
                cell(values([p for p in parts if p.is_of(subject, members)], figure), figure.unit)
                for subject in subjects
            ]
            if set(cells) != {"-"}:
                lines.append(f"{named} {members} | {' | '.join(cells)} |")
                named = "|  |  |"
    return "\n".join(lines)


def context(parts: Sequence[Part]) -> str:
    """Versions and machine, in a few lines."""
    machines = {part.machine for part in parts}
    said = [str(machine) for machine in machines]
    said.append(", ".join(sorted({part.version for part in parts})))
    said += [
        f"{part.subject}, N={part.members}, ended early: {part.stopped}"
        for part in parts
        if part.stopped
    ]
    return "\n".join(said)
