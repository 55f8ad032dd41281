"""What the members tell each other of loads, by gossip's replicated map.

A *load* stands under its name in the namespace ``loads``: written by who starts it, changed when it
is cancelled, when what it waited for has come, and when a run has ended. *Progress* stands in the
namespace ``load-progress``, one entry for each member, under its store id, with all loads that the
member works on: so the number of entries does not grow with the number of loads, nor does what
is left of deleted ones (gossip keeps tombstones for a week, and they count).
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from meshcache.agent.loads.selection import Selection
from meshcache.agent.loads.spec import Terms

LOADS = "loads"
PROGRESS = "load-progress"

Phase = Literal["Pending", "Executing", "Complete", "Failed", "Cancelled"]
"""Fluid's words, and one of our own for what Fluid has no word for."""


class Blob(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A selection that is too long for a record: a block of the mesh's own (`lists`)."""

    id: str
    """64 hex digits of the blake3 of its bytes."""
    size: int
    """Bytes."""


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """How far something is."""

    blocks: int = 0
    """Over all targets, as the bytes are: a block that two members fetch counts twice."""
    blocks_done: int = 0
    """Those that were held already among them."""
    bytes: int = 0
    bytes_done: int = 0
    fetched: int = 0
    """Bytes that had to be fetched for it."""
    failed: int = 0
    """Blocks that could not be had, or not kept."""


class End(Amounts, frozen=True):
    """How a run ended, as the member that saw it first wrote it down."""

    run: int
    """0, or of a Cron load when the run was due, seconds since 1970."""
    phase: Phase
    started: float
    ended: float
    """Both in seconds since 1970."""
    message: str = ""
    files: int = 0


class Load(Terms, frozen=True):
    """One load."""

    name: str
    uid: str
    """Random: a load that is deleted and made again is another one."""
    dataset: str
    dataset_uid: str
    selection: Selection | Blob
    created: float
    """Seconds since 1970."""
    version: str = ""
    """The dataset's version as it was asked for; empty: its head."""
    snapshot: str = ""
    """The snapshot that it is pinned to; empty: the head, as it is when it runs."""
    snapshot_size: int = 0
    files: int = 0
    """As they were selected when it was started; so are the bytes."""
    bytes: int = 0
    released: float = 0.0
    """When the load that it waited for was complete, seconds since 1970."""
    cancelled: float = 0.0
    """When it was cancelled, seconds since 1970."""
    end: End | None = None
    """Of the last run that has ended."""
    succeeded: float = 0.0
    """When a run was complete last, seconds since 1970."""

    @property
    def subject(self) -> str:
        """The dataset as it was asked for: ``NAME`` or ``NAME@VERSION``."""
        return f"{self.dataset}@{self.version}" if self.version else self.dataset


class Progress(msgspec.Struct, array_like=True):
    """How far one member is with one run of one load. Written to as it goes on; the amounts are of
    the member's share."""

    uid: str
    """The load's."""
    run: int
    view: str
    """What the member computed its share from: `meshcache.agent.loads.phase.view_of`."""
    planned: bool = False
    """Whether it knows its whole share: until then the amounts still grow."""
    files: int = 0
    """Of the whole selection."""
    blocks: int = 0
    blocks_done: int = 0
    bytes: int = 0
    bytes_done: int = 0
    fetched: int = 0
    failed: int = 0
    message: str = ""
    """The first failure."""
    started: float = 0.0
    updated: float = 0.0
    ended: float = 0.0
    """When its share was done; 0 while it works. All three in seconds since 1970."""


class Report(msgspec.Struct, frozen=True, array_like=True):
    """A member's entry under ``load-progress``."""

    member: str
    """Its name."""
    loads: tuple[Progress, ...]
    """The newest last."""


def amounts(parts: Iterable[Amounts | Progress]) -> dict[str, int]:
    """The sums of the amounts, by field of `Amounts`."""
    parts = list(parts)
    return {
        field: sum(getattr(part, field) for part in parts) for field in Amounts.__struct_fields__
    }
