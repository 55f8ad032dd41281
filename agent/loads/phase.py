"""How a load is, computed by whoever looks from what the members wrote. Pure.

A run is Complete when every target has ended its share *for the present membership and snapshot*
and lacks nothing. A member that dies is no target any more, and the others' shares are for another
membership from then on: they compute them anew, so a load needs nobody in particular to end. What
was found at the end is then written into the record (`End`), so that it stays as it was.
"""

from collections.abc import Iterable, Mapping

import msgspec
from blake3 import blake3

from meshcache.agent.loads.record import End, Load, Phase, Progress, Report, amounts
from meshcache.agent.loads.schedule import last_due
from meshcache.agent.mesh import Peer

CATCH_UP = 600.0
"""Seconds after which a run that nobody began is no longer caught up with."""


class Present(msgspec.Struct, frozen=True):
    """The mesh at one moment."""

    members: Mapping[str, Peer]
    """Store id -> member, of those that are alive or suspect."""
    owners: frozenset[str]
    """Store ids of those that blocks are placed on."""
    view: str
    """The same on all members that place blocks alike (`MeshView.view`)."""

    def targets(self, load: Load) -> set[str]:
        """Who has a share in a load: the owners, and who is named besides."""
        return set(self.owners) | {
            store for store, peer in self.members.items() if self.takes_all(load, peer)
        }

    def takes_all(self, load: Load, peer: Peer) -> bool:
        """Whether a member fetches every block into its own store, whoever owns it."""
        if peer.name in load.nodes:
            return True
        return peer.store_id in self.owners and (load.all or peer.zone in load.zones)


class Subject(msgspec.Struct, frozen=True):
    """What a load works on as it is now."""

    snapshot: str = ""
    """The snapshot it loads from; empty: it is not known here yet."""
    snapshot_size: int = 0
    generation: int = 0
    """Of the dataset's record."""
    problem: str = ""
    """Why the load can never go on."""


def view_of(present: Present, subject: Subject) -> str:
    """Names what a member's share is computed from; shares of one view add up."""
    text = f"{present.view} {subject.snapshot} {subject.generation}"
    return blake3(text.encode()).hexdigest(8)


class Run(msgspec.Struct, frozen=True):
    """The run of a load that counts now."""

    number: int
    started: float
    """When it was to begin, seconds since 1970."""
    waits: str = ""
    """What it still waits for; empty: nothing."""


def run_of(load: Load, awaited: Load | None, begun: Iterable[int], now: float) -> Run:
    """The run that counts now.

    Args:
        load: the load.
        awaited: the load that it runs after, if that is there.
        begun: the numbers of the runs that members have progress of.
        now: seconds since 1970.
    """
    if load.policy == "Cron":
        due = last_due(load.schedule, now, load.created)
        number = int(due or 0)
        ended = load.end.run if load.end else 0
        if due is None or (number > ended and now - due > CATCH_UP and number not in set(begun)):
            return Run(ended, load.created, "its schedule" if not ended else "")
        return Run(number, due)
    if not load.run_after or load.released:
        return Run(0, load.released or load.created)
    if awaited is None:
        return Run(0, load.created, f"load {load.run_after!r}, which is not there")
    end = awaited.end
    if end is None or end.phase != "Complete":
        how = f", which is {end.phase}" if end else ""
        return Run(0, load.created, f"load {load.run_after!r}{how}")
    return Run(0, max(load.created, end.ended))


def verdict(
    load: Load,
    run: Run,
    reports: Mapping[str, Report],
    present: Present,
    subject: Subject,
    now: float,
) -> End:
    """How a run is, as an `End` whatever its phase: what was written down, else what is computed.

    `reports` are by store id.
    """
    if load.end is not None and _settles(load.end, load, run):
        return load.end
    return _compute(load, run, progress_of(load, run, reports, present), present, subject, now)


def _settles(end: End, load: Load, run: Run) -> bool:
    """Whether nothing can change any more: a cancelled schedule has a last word of its own."""
    return end.phase == "Cancelled" or (end.run == run.number and not load.cancelled)


def progress_of(
    load: Load, run: Run, reports: Mapping[str, Report], present: Present
) -> dict[str, Progress]:
    """What the living targets say of this run."""
    return {
        store: one
        for store in present.targets(load) & reports.keys()
        for one in reports[store].loads
        if (one.uid, one.run) == (load.uid, run.number)
    }


def _compute(
    load: Load,
    run: Run,
    progress: Mapping[str, Progress],
    present: Present,
    subject: Subject,
    now: float,
) -> End:
    """How a run that has no written end is: as an `End`, whatever its phase."""
    targets = present.targets(load)
    view = view_of(present, subject)
    known = list(progress.values())
    done = len(known) == len(targets) and all(one.ended and one.view == view for one in known)
    message = next((one.message for one in known if one.message), "")
    phase: Phase
    ended = 0.0
    if load.cancelled:
        phase, ended = "Cancelled", load.cancelled
    elif run.waits:
        phase, message = "Pending", f"waits for {run.waits}"
    elif subject.problem:
        phase, message, ended = "Failed", subject.problem, now
    elif done and targets:
        phase = "Failed" if message else "Complete"
        ended = max(one.ended for one in known)
    else:
        phase = "Executing" if known else "Pending"
    # Until every target knows its share, the selection is what is known.
    planned = len(known) == len(targets) and all(one.planned for one in known)
    sums = amounts(known)
    if not planned:
        sums["bytes"] = max(sums["bytes"], load.bytes)
    return End(
        run=run.number,
        phase=phase,
        started=0.0 if run.waits else run.started,
        ended=ended,
        message=message,
        files=load.files or max((one.files for one in known), default=0),
        **sums,
    )
