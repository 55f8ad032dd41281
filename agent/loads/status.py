"""A load as the API shows it: its phase, its amounts and its members, put together for who asks."""

from collections.abc import Mapping

from meshcache.agent.loads.phase import Present, Run, Subject, progress_of, verdict, view_of
from meshcache.agent.loads.record import Amounts, End, Load, Phase, Progress, Report, amounts
from meshcache.agent.loads.schedule import next_due
from meshcache.agent.mesh import Peer


class MemberStatus(Amounts, frozen=True):
    """How far one target is; sizes in bytes, times in seconds."""

    name: str
    store: str
    phase: Phase
    planned: bool = False
    message: str = ""
    duration: float = 0.0


class Status(Amounts, frozen=True, kw_only=True):
    """A load as the API shows it; sizes in bytes, times in seconds, moments since 1970."""

    name: str
    dataset: str
    phase: Phase
    message: str = ""
    """The first failure, or what a pending load waits for."""
    policy: str
    schedule: str
    run_after: str
    metadata_only: bool
    replicas: int
    rate_limit: int
    ttl: float | None
    created: float
    run: int
    """When this run was due, of a Cron load; else 0."""
    next_run: float | None
    succeeded: float
    started: float
    ended: float
    duration: float
    files: int
    """Of the selection."""
    percentage: float
    rate: float
    """Bytes per second that are fetched now."""
    eta: float | None
    """Seconds until the end at this rate; None if it cannot be told."""
    members: tuple[MemberStatus, ...] = ()


def look(
    load: Load,
    run: Run,
    reports: Mapping[str, Report],
    present: Present,
    subject: Subject,
    now: float,
) -> Status:
    """A load as the API shows it; `reports` are by store id."""
    end = verdict(load, run, reports, present, subject, now)
    progress = progress_of(load, run, reports, present)
    view = view_of(present, subject)
    targets = sorted((present.members[store] for store in present.targets(load)), key=_by_name)
    working = [one for one in progress.values() if not one.ended] if not end.ended else []
    rate = sum(one.fetched / max(one.updated - one.started, 0.1) for one in working)
    return Status(
        name=load.name,
        dataset=load.subject,
        phase=end.phase,
        message=end.message,
        policy=load.policy,
        schedule=load.schedule,
        run_after=load.run_after,
        metadata_only=load.metadata_only,
        replicas=load.replicas,
        rate_limit=load.rate,
        ttl=load.ttl,
        created=load.created,
        run=end.run,
        next_run=next_due(load.schedule, now) if load.schedule and not load.cancelled else None,
        succeeded=load.succeeded,
        started=end.started,
        ended=end.ended,
        duration=(end.ended or now) - end.started if end.started else 0.0,
        files=end.files,
        percentage=_percentage(end),
        rate=rate,
        eta=(end.bytes - end.bytes_done) / rate if rate else None,
        members=tuple(
            _member(peer, progress.get(peer.store_id), view, end, now) for peer in targets
        ),
        **amounts([end]),
    )


def _by_name(peer: Peer) -> tuple[str, str]:
    return peer.name, peer.store_id


def _percentage(end: End) -> float:
    if end.phase == "Complete":
        return 100.0
    # Never a whole one before the end: the last block may be the one that is missing.
    return min(100.0 * end.bytes_done / end.bytes, 99.9) if end.bytes else 0.0


def _member(peer: Peer, progress: Progress | None, view: str, end: End, now: float) -> MemberStatus:
    if progress is None:
        # It said nothing, or what it said has made room for newer loads since.
        phase: Phase = end.phase if end.ended else "Pending"
        return MemberStatus(peer.name, peer.store_id, phase)
    if end.ended:
        phase = "Failed" if progress.message else end.phase
    elif progress.ended and progress.view == view:
        phase = "Failed" if progress.message else "Complete"
    else:
        phase = "Executing"
    return MemberStatus(
        name=peer.name,
        store=peer.store_id,
        phase=phase,
        planned=progress.planned,
        message=progress.message,
        duration=(progress.ended or end.ended or now) - progress.started,
        **amounts([progress]),
    )
