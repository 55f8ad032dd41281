"""The figures: one experiment each, for our protocol and for memberlist under the same seeds.

Each gives seconds (or counts, or bytes) per run; nothing is averaged here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from meshcache.gossip.core.events import MemberFailed, MemberSuspect, UserEvent
from meshcache.gossip.core.settings import LAN, Settings
from meshcache.gossip.sim.memberlist import DEAD, Memberlist, MemberlistSettings
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process
from meshcache.gossip.sim.tcp import PURE_ACK

LIMIT = 60.0


def acquainted(
    members: int, seed: int, *, settings: Settings = LAN, loss: float = 0.0, settle: float = 15.0
) -> tuple[Network, list[Process]]:
    """A mesh at rest in which everybody knows everybody, without the work of joining."""
    network = Network(seed, loss=loss)
    processes = [network.start(f"n{index}", settings=settings) for index in range(members)]
    network.acquaint(processes)
    network.run(settle)
    return network, processes


def _when_all(
    network: Network, processes: Sequence[Process], victim: Process, began: float
) -> tuple[float, float, float]:
    """(suspect at the last, failed at the first, failed at the last) since `began`."""
    uid = victim.uid.hex()
    suspect: dict[Process, float] = {}
    failed: dict[Process, float] = {}
    counted = {id(process) for process in processes}

    def listen(process: Process, event: object) -> None:
        if not isinstance(event, MemberSuspect | MemberFailed):
            return
        if id(process) in counted and event.member.uid == uid:
            suspect.setdefault(process, network.now)
            if isinstance(event, MemberFailed):
                failed.setdefault(process, network.now)

    network.on_event.append(listen)
    network.run_until(lambda: len(failed) == len(processes), began + LIMIT)
    network.on_event.remove(listen)
    if len(failed) < len(processes):
        return LIMIT, LIMIT, LIMIT
    return (
        max(suspect.values()) - began,
        min(failed.values()) - began,
        max(failed.values()) - began,
    )


@dataclass(frozen=True)
class Death:
    """When a death was known, in seconds after it."""

    suspect_all: float
    failed_first: float
    failed_all: float


def deaths(members: int, seed: int, kills: int, *, silent: bool) -> Iterator[Death]:
    """Members die one after another in one mesh, each replaced by nobody."""
    network, processes = acquainted(members, seed)
    for _ in range(kills):
        network.run(2 + network.random.random())
        victim = processes.pop(network.random.randrange(len(processes)))
        began = network.now
        (network.switch_off if silent else network.kill)(victim)
        yield Death(*_when_all(network, processes, victim, began))


def _say(network: Network, source: Process) -> None:
    network.act(source, lambda now: source.node.say("e", b"x" * 40, now))


def _all_heard(heard: dict[str, float], all_: int) -> bool:
    return len(heard) == all_


def events(members: int, seed: int, count: int, *, loss: float = 0.0) -> Iterator[float]:
    """Seconds until the last member has an event; the first ten shape the tree and do not count."""
    network, processes = acquainted(members, seed, loss=loss)
    for number in range(count + 10):
        heard: dict[str, float] = {}

        def listen(process: Process, event: object, heard: dict[str, float] = heard) -> None:
            if isinstance(event, UserEvent):
                heard[process.name] = network.now

        network.on_event.append(listen)
        began = network.now
        source = processes[network.random.randrange(members)]
        _say(network, source)
        network.run_until(partial(_all_heard, heard, members - 1), began + LIMIT)
        took = max(heard.values()) - began if len(heard) == members - 1 else LIMIT
        network.on_event.remove(listen)
        network.run(1)
        if number >= 10:
            yield took


def copies(members: int, seed: int, count: int) -> float:
    """Whole copies of an event that a member receives, on average, once the tree is shaped."""
    network, processes = acquainted(members, seed)

    def received() -> int:
        return sum(
            one.node.context.counts["rumours_fresh"] + one.node.context.counts["rumours_known"]
            for one in processes
        )

    before = 0
    for number in range(count + 10):
        if number == 10:
            before = received()
        source = processes[network.random.randrange(members)]
        _say(network, source)
        network.run(1)
    return (received() - before) / count / (members - 1)


def idle(members: int, seed: int, seconds: float = 60.0) -> float:
    """Bytes that a member sends in a second at rest: frames with all headers, and a pure TCP
    acknowledgement for each (the beats go one way, so nothing carries it)."""
    network, processes = acquainted(members, seed, settle=40)
    before = sum(process.bytes_sent + PURE_ACK * process.frames_sent for process in processes)
    network.run(seconds)
    after = sum(process.bytes_sent + PURE_ACK * process.frames_sent for process in processes)
    return (after - before) / seconds / members


def join_storm(members: int, seed: int) -> float:
    """Seconds until all know all, when N-1 members start at once with one seed."""
    network = Network(seed)
    processes = [network.start(f"n{index}", seeds=["n0:1"]) for index in range(members)]
    network.run_until(
        lambda: all(len(one.node.members.table.living) == members for one in processes), 300
    )
    return network.now


@dataclass(frozen=True)
class Anomalies:
    """Deaths that were declared of others while some members stood still again and again."""

    false: int
    """Transitions to failed, at any observer, of members that never stood still."""
    false_at_healthy: int
    """Those at observers that never stood still either."""
    blocked: int
    """Blocked members that a healthy one declared failed."""


def anomalies(
    members: int,
    seed: int,
    *,
    blocked: int,
    duration: float,
    gap: float,
    total: float,
    timers_run: bool,
) -> Anomalies:
    """The grid of Lifeguard's paper, one cell: `blocked` members stand still for `duration`, run
    for `gap`, and so on for `total` seconds."""
    network, processes = acquainted(members, seed, settle=5)
    chosen = network.random.sample(processes, blocked)
    ids = {process.uid.hex() for process in chosen}
    log: list[tuple[str, str]] = []

    def listen(process: Process, event: object) -> None:
        if isinstance(event, MemberFailed):
            log.append((process.uid.hex(), event.member.uid))

    network.on_event.append(listen)
    began = network.now
    while network.now < began + total:
        for process in chosen:
            network.stall(process, timers_run=timers_run)
        network.run(duration)
        for process in chosen:
            network.resume(process)
        network.run(gap)
    network.run(30)
    false = [(observer, subject) for observer, subject in log if subject not in ids]
    return Anomalies(
        len(false),
        sum(observer not in ids for observer, _ in false),
        len({subject for observer, subject in log if subject in ids and observer not in ids}),
    )


# --- the baseline


def memberlist_deaths(
    members: int, seed: int, kills: int, settings: MemberlistSettings | None = None
) -> Iterator[Death]:
    """One member dies in each of `kills` fresh meshes."""
    for run in range(kills):
        mesh = Memberlist(members, settings or MemberlistSettings(), seed + run)
        mesh.run(3 + mesh.random.random())
        died = mesh.now
        mesh.members[0].up = False
        while mesh.now < died + 200:
            mesh.run(mesh.now + 1)
            if sum(one.up and one.held(0).state == DEAD for one in mesh.members) >= members - 1:
                break
        suspected = [note.when for note in mesh.log if note.what == "suspect" and note.about == 0]
        dead = [note.when for note in mesh.log if note.what == "dead" and note.about == 0]
        yield Death(max(suspected) - died, min(dead) - died, max(dead) - died)


def memberlist_events(members: int, seed: int, count: int, *, loss: float = 0.0) -> Iterator[float]:
    """Seconds until the last member has a broadcast, in fresh meshes."""
    for run in range(count):
        mesh = Memberlist(members, MemberlistSettings(loss=loss), seed + run)
        mesh.run(2 + mesh.random.random())
        sent = mesh.now
        mesh.members[0].handle(0, ("event", 1), False)
        mesh.run(sent + 15)
        yield max(note.when for note in mesh.log if note.what == "event") - sent


def memberlist_anomalies(
    members: int,
    seed: int,
    *,
    blocked: int,
    duration: float,
    gap: float,
    total: float,
    settings: MemberlistSettings,
) -> Anomalies:
    """One cell of the grid for memberlist."""
    mesh = Memberlist(members, settings, seed)
    mesh.run(5)
    chosen = set(mesh.random.sample(range(members), blocked))
    before, began = len(mesh.log), mesh.now
    while mesh.now < began + total:
        for index in sorted(chosen):
            mesh.block(index)
        mesh.run(mesh.now + duration)
        for index in sorted(chosen):
            mesh.unblock(index)
        mesh.run(mesh.now + gap)
    mesh.run(mesh.now + 30)
    dead = [note for note in mesh.log[before:] if note.what == "dead"]
    false = [note for note in dead if note.about not in chosen]
    return Anomalies(
        len(false),
        sum(note.observer not in chosen for note in false),
        len({n.about for n in dead if n.about in chosen and n.observer not in chosen}),
    )
