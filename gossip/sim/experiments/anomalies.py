"""G4 and G5: members that stand still again and again, and who is held dead for it."""

from collections.abc import Iterator
from dataclasses import dataclass

from meshcache.gossip.core.events import Event, MemberFailed
from meshcache.gossip.sim.experiments.start import acquainted
from meshcache.gossip.sim.memberlist.mesh import Memberlist
from meshcache.gossip.sim.memberlist.settings import MemberlistSettings
from meshcache.gossip.sim.process import Process


@dataclass(frozen=True)
class Cell:
    """One cell of the grid of Lifeguard's paper: `blocked` members stand still for `duration`, run
    for `gap`, and so on for `total` seconds."""

    blocked: int
    duration: float
    gap: float
    total: float = 120.0


GRID = [
    Cell(blocked, duration, gap)
    for blocked in (4, 16, 32)
    for duration in (8.0, 16.0, 32.0)
    for gap in (0.256, 4.0)
]
"""128 members, 18 cells."""
AFTER = 30.0


@dataclass(frozen=True)
class Anomalies:
    """Deaths that were declared of others while some members stood still again and again."""

    false: int
    """Transitions to failed, at any observer, of members that never stood still."""
    false_at_healthy: int
    """Those at observers that never stood still either."""
    blocked: int
    """Blocked members that a healthy one declared failed."""


def _count(log: list[tuple[object, object]], chosen: set[object]) -> Anomalies:
    false = [(observer, subject) for observer, subject in log if subject not in chosen]
    return Anomalies(
        len(false),
        sum(observer not in chosen for observer, _ in false),
        len({subject for observer, subject in log if subject in chosen and observer not in chosen}),
    )


def anomalies(members: int, seed: int, cell: Cell, *, timers_run: bool) -> Anomalies:
    """One cell; `timers_run`: the timers of a blocked member go on, only its network stands."""
    network, processes = acquainted(members, seed, settle=5)
    chosen = network.random.sample(processes, cell.blocked)
    log: list[tuple[object, object]] = []

    def listen(process: Process, event: Event) -> None:
        if isinstance(event, MemberFailed):
            log.append((process.uid.hex(), event.member.uid))

    network.on_event.append(listen)
    began = network.now
    while network.now < began + cell.total:
        for process in chosen:
            network.stall(process, timers_run=timers_run)
        network.run(cell.duration)
        for process in chosen:
            network.resume(process)
        network.run(cell.gap)
    network.run(AFTER)
    return _count(log, {process.uid.hex() for process in chosen})


def memberlist_anomalies(
    members: int, seed: int, cell: Cell, settings: MemberlistSettings
) -> Anomalies:
    """One cell for memberlist."""
    mesh = Memberlist(members, settings, seed)
    mesh.run(5)
    chosen = mesh.random.sample(range(members), cell.blocked)
    before, began = len(mesh.log), mesh.now
    while mesh.now < began + cell.total:
        for index in chosen:
            mesh.block(index)
        mesh.run(cell.duration)
        for index in chosen:
            mesh.unblock(index)
        mesh.run(cell.gap)
    mesh.run(AFTER)
    dead = [note for note in mesh.log[before:] if note.what == "dead"]
    return _count([(note.observer, note.about) for note in dead], set(chosen))


def grid(members: int, seed: int, *, timers_run: bool) -> Iterator[Anomalies]:
    """All cells of the grid, in its order."""
    for cell in GRID:
        yield anomalies(members, seed, cell, timers_run=timers_run)


def memberlist_grid(
    members: int, seed: int, *, settings: MemberlistSettings
) -> Iterator[Anomalies]:
    """All cells for memberlist."""
    for cell in GRID:
        yield memberlist_anomalies(members, seed, cell, settings)


def _quarter(members: int) -> Cell:
    return Cell(members // 4, 5.0, 1.0, 60.0)


def stalls(members: int, seed: int, *, timers_run: bool) -> Iterator[Anomalies]:
    """A quarter of the members stands still for 5 s of 6, for a minute."""
    yield anomalies(members, seed, _quarter(members), timers_run=timers_run)


def memberlist_stalls(members: int, seed: int) -> Iterator[Anomalies]:
    """The same for memberlist."""
    yield memberlist_anomalies(members, seed, _quarter(members), MemberlistSettings())
