"""How much of a dataset is cached and where its reads came from, as people read it.

The values look like Fluid's: ``566.22MiB``, ``100.0%``, ``[Calculating]``, ``N/A``.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from meshcache.agent.cli.output import Column
from meshcache.units import format_size


def size(value: int | None) -> str:
    """Bytes; None is not known yet."""
    return "[Calculating]" if value is None else format_size(value)


def percentage(value: float | None) -> str:
    """0 to 100; None is not known yet."""
    return "[Calculating]" if value is None else f"{value:.1f}%"


def ratio(value: float | None) -> str:
    """0 to 1; None where nothing was read that could be hit or missed."""
    return "N/A" if value is None else f"{100 * value:.1f}%"


READS = (
    Column("CACHE HIT RATIO", lambda dataset: ratio(dataset["reads"]["hit_ratio"]), wide=True),
    Column("LOCAL", lambda dataset: ratio(dataset["reads"]["local_ratio"]), wide=True),
    Column("REMOTE", lambda dataset: ratio(dataset["reads"]["remote_ratio"]), wide=True),
    Column("ORIGIN", lambda dataset: ratio(dataset["reads"]["origin_ratio"]), wide=True),
    Column("BYTES SAVED", lambda dataset: size(dataset["reads"]["saved"]), wide=True),
)
"""Columns of a table."""


def reads_line(dataset: Mapping[str, Any]) -> str:
    """The same in one line."""
    reads = dataset["reads"]
    if not reads["read"]:
        return "nothing was read yet"
    shares = ", ".join(
        f"{name} {size(reads[name])} ({ratio(reads[f'{name}_ratio'])})"
        for name in ("local", "remote", "origin")
    )
    return f"{shares}: hit ratio {ratio(reads['hit_ratio'])}"


def saved_line(dataset: Mapping[str, Any]) -> str:
    """What the origin need not send."""
    reads = dataset["reads"]
    loaded = f", {size(reads['loaded'])} of it for loads" if reads["loaded"] else ""
    return (
        f"{size(reads['saved'])} (readers had {size(reads['read'])}, the origin sent "
        f"{size(reads['fetched'])}{loaded})"
    )


def tell_answers(things: Iterable[Mapping[str, Any]]) -> None:
    """Say on stderr how many members answered, if they were asked."""
    for thing in things:
        if (exact := thing.get("exact")) is not None:
            name = thing.get("name") or thing["dataset"]
            print(
                f"{name}: {exact['answered']} of {exact['asked']} members answered",
                file=sys.stderr,
            )
