"""G7 to G9: an event to all, what it costs, and what rest costs."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil, log10

from meshcache.gossip.core.events import Event, UserEvent
from meshcache.gossip.sim.experiments.start import acquainted
from meshcache.gossip.sim.memberlist.mesh import Memberlist
from meshcache.gossip.sim.memberlist.settings import MemberlistSettings
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process
from meshcache.gossip.sim.tcp import PURE_ACK

LIMIT = 60.0
SHAPING = 10
"""The first events shape the tree and do not count."""
COUNTED = 10
PAYLOAD = bytes(40)


@dataclass(frozen=True)
class Spreading:
    """One event."""

    all: float
    """Seconds until the last member had it; LIMIT if one never had."""
    copies: float
    """Whole copies that a member received, on average (of memberlist's: at most)."""


@dataclass(frozen=True)
class Rest:
    """A mesh in which nothing happens."""

    bytes: float
    """Sent by a member in a second, all headers counted."""


def _say(network: Network, source: Process) -> None:
    network.act(source, lambda now: source.node.say("e", PAYLOAD, now))


def _copies(processes: list[Process]) -> int:
    return sum(
        one.node.context.counts["rumours_fresh"] + one.node.context.counts["rumours_known"]
        for one in processes
    )


def events(members: int, seed: int, *, loss: float = 0.0) -> Iterator[Spreading]:
    """Events, each from another member, a second after the one before. Segments are lost from 3 s
    before the first one that counts."""
    network, processes = acquainted(members, seed)
    for number in range(SHAPING + COUNTED):
        if number == SHAPING and loss:
            network.faults.loss = loss
            network.run(3)
        heard: dict[bytes, float] = {}

        def listen(process: Process, event: Event, heard: dict[bytes, float] = heard) -> None:
            if isinstance(event, UserEvent):
                heard[process.uid] = network.now

        def all_heard(heard: dict[bytes, float] = heard) -> bool:
            return len(heard) == members - 1

        network.on_event.append(listen)
        began, before = network.now, _copies(processes)
        _say(network, processes[network.random.randrange(members)])
        complete = network.run_until(all_heard, began + LIMIT)
        network.on_event.remove(listen)
        network.run(1)
        if number >= SHAPING:
            took = max(heard.values()) - began if complete else LIMIT
            yield Spreading(took, (_copies(processes) - before) / (members - 1))


def rest(members: int, seed: int, seconds: float = 60.0) -> Iterator[Rest]:
    """Bytes that a member sends in a second at rest: frames with all headers, and a pure TCP
    acknowledgement for each (the beats go one way, so nothing carries it)."""
    network, processes = acquainted(members, seed, settle=40)

    def sent() -> int:
        return sum(process.bytes_sent + PURE_ACK * process.frames_sent for process in processes)

    before = sent()
    network.run(seconds)
    yield Rest((sent() - before) / seconds / members)


def memberlist_events(members: int, seed: int, *, loss: float = 0.0) -> Iterator[Spreading]:
    """Broadcasts, each in a fresh mesh."""
    copies = MemberlistSettings().retransmit_mult * ceil(log10(members + 1))
    for run in range(COUNTED):
        mesh = Memberlist(members, MemberlistSettings(loss=loss), 1000 * seed + run)
        mesh.run(2 + mesh.random.random())
        sent = mesh.now
        mesh.members[0].handle(0, ("event", 1), False)
        mesh.run_until(partial(_logged, mesh, members), sent + 15)
        took = max(note.when for note in mesh.log if note.what == "event") - sent
        yield Spreading(took if _logged(mesh, members) else LIMIT, copies)


def _logged(mesh: Memberlist, members: int) -> bool:
    return len(mesh.log) >= members and sum(note.what == "event" for note in mesh.log) >= members


def memberlist_rest(members: int, seed: int) -> Iterator[Rest]:
    """Bytes that a memberlist member sends in a second at rest: over one interval of push/pull, so
    that each member has its turn (uncompressed; serf's takes a sixth)."""
    mesh = Memberlist(members, MemberlistSettings(), seed)
    interval = mesh.members[0].push_pull_interval
    mesh.run(interval + mesh.settings.push_pull_interval)
    before = mesh.bytes
    mesh.run(interval)
    yield Rest((mesh.bytes - before) / interval / members)
