"""HashiCorp memberlist in virtual time: the baseline that our protocol is compared with.

Its failure detector and gossip after state.go, suspicion.go, awareness.go, queue.go and util.go,
with the LAN defaults: SWIM (Das, Gupta, Motivala 2002) with the three parts of Lifeguard
(Dadgar, Phillips, Currey 2018), each of which can be left out. A test pins its medians to those
measured with real serf (30 to 90 kills per size).

Simplifications: everybody knows everybody at the start; message sizes are rounded msgpack sizes;
push/pull is instant and free of loss; handling costs nothing; no joins, leaves or partitions.
"""

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ALIVE, SUSPECT, DEAD = 0, 1, 2
Message = tuple[Any, ...]

SIZES = {
    "ping": 90,
    "ack": 45,
    "indirect": 120,
    "nack": 30,
    "suspect": 62,
    "dead": 62,
    "alive": 130,
    "event": 90,
}
DATAGRAM = 30
"""IP, UDP and the compound header."""
PER_MESSAGE = 2
PUSH_PULL_ENTRY = 110
INBOX = 4096


@dataclass(frozen=True, kw_only=True)
class MemberlistSettings:
    """memberlist's DefaultLANConfig, and which parts of Lifeguard are on."""

    probe_interval: float = 1.0
    probe_timeout: float = 0.5
    indirect_checks: int = 3
    retransmit_mult: int = 4
    suspicion_mult: int = 4
    suspicion_max_mult: int = 6
    gossip_interval: float = 0.2
    gossip_nodes: int = 3
    gossip_to_the_dead: float = 30.0
    push_pull_interval: float = 30.0
    datagram: int = 1400
    awareness_max: int = 8
    lha_probe: bool = True
    lha_suspicion: bool = True
    buddy: bool = True
    latency: tuple[float, float] = (0.0002, 0.001)
    loss: float = 0.0
    timers_run: bool = False
    """Whether a blocked member goes on probing, with all it sends queued (worse than the paper)."""


@dataclass(slots=True)
class _Probe:
    target: int
    seq: int
    acked: bool = False
    asked: int = 0
    nacks: int = 0
    failure_held: bool = False


@dataclass(slots=True)
class _Relay:
    asker: int
    their_seq: int
    acked: bool = False


@dataclass(slots=True)
class _Suspicion:
    """A suspect's timer: from the longest wait down to the shortest as others confirm."""

    accusers: set[int]
    started: float
    shortest: float
    longest: float
    wanted: int
    confirmed: int = 0
    armed: int = 0

    def wait(self) -> float:
        share = math.log(self.confirmed + 1) / math.log(self.wanted + 1) if self.wanted else 0
        return max(self.shortest, self.longest - share * (self.longest - self.shortest))


@dataclass(slots=True)
class _Held:
    """What a member holds of another."""

    state: int = ALIVE
    incarnation: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that happened at one member."""

    when: float
    observer: int
    what: str
    """suspect, dead, rejoin, event."""
    about: int


class Memberlist:
    """So many members, and the heap of what happens next."""

    def __init__(self, members: int, settings: MemberlistSettings, seed: int) -> None:
        """Start all members; they know each other."""
        self.size, self.settings, self.random = members, settings, random.Random(seed)
        self.now = 0.0
        self.bytes = self.messages = 0
        self.log: list[Noted] = []
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._pushed = 0
        self.members: list[Peer] = []
        for index in range(members):
            order = list(range(members))
            self.random.shuffle(order)
            self.members.append(Peer(self, index, order))

    def after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        """Call after so many seconds."""
        self._pushed += 1
        heapq.heappush(self._heap, (self.now + delay, self._pushed, call, args))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, call, args = heapq.heappop(self._heap)
            call(*args)
        self.now = until

    def send(self, source: int, target: int, parts: list[Message], tcp: bool = False) -> None:
        """Send a datagram of some messages."""
        sender = self.members[source]
        if not sender.up:
            return
        if sender.blocked:
            sender.outbox.append((target, parts, tcp))
            return
        self.messages += 1
        self.bytes += DATAGRAM + sum(SIZES[part[0]] + PER_MESSAGE for part in parts)
        if not tcp and self.settings.loss and self.random.random() < self.settings.loss:
            return
        delay = self.random.uniform(*self.settings.latency)
        self.after(delay, self._deliver, source, target, parts, tcp)

    def _deliver(self, source: int, target: int, parts: list[Message], tcp: bool) -> None:
        receiver = self.members[target]
        if not receiver.up:
            return
        if receiver.blocked:
            if len(receiver.inbox) < INBOX:
                receiver.inbox.append((source, parts, tcp))
            return
        for part in parts:
            receiver.handle(source, part, tcp)

    def block(self, index: int) -> None:
        """The member stands still: each of its goroutines stops at its next send or receive."""
        self.members[index].blocked = True

    def unblock(self, index: int) -> None:
        """It goes on: what was held is sent, what came is handled."""
        member = self.members[index]
        member.blocked = False
        outbox, member.outbox = member.outbox, []
        inbox, member.inbox = member.inbox, []
        member.wake()
        for target, parts, tcp in outbox:
            self.send(index, target, parts, tcp)
        for source, parts, tcp in inbox:
            for part in parts:
                member.handle(source, part, tcp)


@dataclass(slots=True)
class _Queued:
    sent: int
    order: int
    message: Message


class Peer:
    """One member."""

    def __init__(self, mesh: Memberlist, index: int, order: list[int]) -> None:
        """A member that probes the others in this order first."""
        self.mesh, self.index, self.order = mesh, index, order
        self.settings = mesh.settings
        self.up, self.blocked = True, False
        self.outbox: list[tuple[int, list[Message], bool]] = []
        self.inbox: list[tuple[int, list[Message], bool]] = []
        self.incarnation = self.health = 0
        self.view: dict[int, _Held] = {}
        self._stalled: list[tuple[float, _Probe, float]] = []
        self._next = self._seq = self._broadcasts = 0
        self._probing = False
        self._suspicions: dict[int, _Suspicion] = {}
        self._queue: dict[object, _Queued] = {}
        self._pending: dict[int, _Probe | _Relay] = {}
        self._events: set[int] = set()
        chance, settings = mesh.random.uniform, self.settings
        mesh.after(chance(0, settings.probe_interval), self._tick)
        mesh.after(chance(0, settings.gossip_interval), self._gossip)
        first = chance(0, settings.push_pull_interval) + self._push_pull_interval()
        mesh.after(first, self._push_pull)

    def _push_pull_interval(self) -> float:
        size = self.mesh.size
        return self.settings.push_pull_interval * (
            1 if size <= 32 else math.ceil(math.log2(size) - 5) + 1
        )

    def held(self, other: int) -> _Held:
        """What this member holds of another."""
        return self.view.get(other) or _Held()

    def _pick(self, count: int, suits: Callable[[int], bool]) -> list[int]:
        """kRandomNodes: up to `count` others, giving up after 3 N draws."""
        picked: list[int] = []
        for _ in range(3 * self.mesh.size):
            if len(picked) >= count:
                break
            other = self.mesh.random.randrange(self.mesh.size)
            if other != self.index and other not in picked and suits(other):
                picked.append(other)
        return picked

    def _note(self, what: str, about: int) -> None:
        self.mesh.log.append(Noted(self.mesh.now, self.index, what, about))

    # --- broadcasts

    def _broadcast(self, subject: object, message: Message) -> None:
        self._broadcasts += 1
        self._queue[subject] = _Queued(0, -self._broadcasts, message)

    def _take(self, room: int) -> list[Message]:
        """What fits: the least often sent first, among those the newest."""
        if not self._queue:
            return []
        limit = self.settings.retransmit_mult * math.ceil(math.log10(self.mesh.size + 1))
        taken: list[Message] = []
        waiting = sorted(self._queue.items(), key=lambda item: (item[1].sent, item[1].order))
        for subject, entry in waiting:
            size = SIZES[entry.message[0]] + PER_MESSAGE
            if size > room:
                continue
            room -= size
            taken.append(entry.message)
            entry.sent += 1
            if entry.sent >= limit:
                del self._queue[subject]
            if room < 60:
                break
        return taken

    def _send(self, target: int, message: Message, tcp: bool = False) -> None:
        room = self.settings.datagram - SIZES[message[0]] - 4
        riders = [] if tcp else self._take(room)
        self.mesh.send(self.index, target, [message, *riders], tcp)

    def _gossip(self) -> None:
        if not self.up:
            return
        self.mesh.after(self.settings.gossip_interval, self._gossip)
        if self._stopped() or not self._queue:
            return

        def worth_telling(other: int) -> bool:
            held = self.held(other)
            recent = self.mesh.now - held.since <= self.settings.gossip_to_the_dead
            return held.state != DEAD or recent

        for other in self._pick(self.settings.gossip_nodes, worth_telling):
            messages = self._take(self.settings.datagram - PER_MESSAGE)
            if not messages:
                break
            self.mesh.send(self.index, other, messages)

    def _push_pull(self) -> None:
        if not self.up:
            return
        self.mesh.after(self._push_pull_interval(), self._push_pull)
        for index in self._pick(1, lambda other: self.held(other).state == ALIVE):
            other = self.mesh.members[index]
            if other.up and not self.blocked and not other.blocked:
                ours, theirs = self._table(), other._table()
                self._merge(theirs)
                other._merge(ours)
                self.mesh.bytes += 2 * self.mesh.size * PUSH_PULL_ENTRY

    def _table(self) -> list[tuple[int, int, int]]:
        rows = [(other, held.state, held.incarnation) for other, held in self.view.items()]
        return [*rows, (self.index, ALIVE, self.incarnation)]

    def _merge(self, table: list[tuple[int, int, int]]) -> None:
        """As memberlist does: what another holds dead is only a suspicion here."""
        for other, state, incarnation in table:
            if state == ALIVE:
                self._on_alive(other, incarnation)
            else:
                self._on_suspect(other, incarnation, self.index)

    # --- probing

    def _patience(self) -> float:
        """The probe interval, stretched by this member's own bad health (LHA-Probe)."""
        return self.settings.probe_interval * (self.health + 1 if self.settings.lha_probe else 1)

    def _adjust_health(self, delta: int) -> None:
        self.health = max(0, min(self.settings.awareness_max - 1, self.health + delta))

    def _next_to_probe(self) -> int | None:
        for _ in range(self.mesh.size + 1):
            if self._next >= len(self.order):
                self._next = 0
                self.mesh.random.shuffle(self.order)
            other = self.order[self._next]
            self._next += 1
            if other != self.index and self.held(other).state != DEAD:
                return other
        return None

    def _stopped(self) -> bool:
        return self.blocked and not self.settings.timers_run

    def _tick(self) -> None:
        if not self.up:
            return
        self.mesh.after(self.settings.probe_interval, self._tick)
        if self._probing or (self._stopped() and self._stalled):
            return
        other = self._next_to_probe()
        if other is None:
            return
        self._probing = True
        self._seq += 1
        probe = _Probe(other, self._seq)
        self._pending[self._seq] = probe
        if self._stopped():
            self._stalled.append((self.mesh.now, probe, self._patience()))
            return
        held = self.held(other)
        if held.state == ALIVE:
            self._send(other, ("ping", self._seq))
        else:
            about = ("suspect", other, held.incarnation, self.index)
            buddy: list[Message] = [about] if self.settings.buddy else []
            self.mesh.send(self.index, other, [("ping", self._seq), *buddy])
        self.mesh.after(self.settings.probe_timeout, self._ask_others, probe)
        self.mesh.after(self._patience(), self._end_probe, probe)

    def _ask_others(self, probe: _Probe) -> None:
        if probe.acked or not self.up:
            return
        if self._stopped():
            patience = self._patience() - self.settings.probe_timeout
            self._stalled.append((self.mesh.now, probe, patience))
            return
        others = self._pick(
            self.settings.indirect_checks,
            lambda other: other != probe.target and self.held(other).state == ALIVE,
        )
        probe.asked = len(others)
        for other in others:
            self._send(other, ("indirect", probe.seq, probe.target))
        self._send(probe.target, ("ping", probe.seq), tcp=True)

    def _end_probe(self, probe: _Probe) -> None:
        self._pending.pop(probe.seq, None)
        if self._stopped() and not probe.failure_held:
            probe.failure_held = True
            if not self._stalled:
                self._stalled.append((-math.inf, probe, 0))
            return
        if probe.acked:
            return
        self._probing = False
        if not self.up:
            return
        self._adjust_health(probe.asked - probe.nacks if probe.asked else 1)
        self._on_suspect(probe.target, self.held(probe.target).incarnation, self.index)

    def wake(self) -> None:
        """The block ends: the probe that hung goes on, and has failed if its deadline is past."""
        stalled, self._stalled = self._stalled, []
        for since, probe, patience in stalled:
            if probe.acked:
                continue
            self._ask_others(probe)
            if self.mesh.now - since >= patience:
                self._end_probe(probe)
            else:
                self.mesh.after(since + patience - self.mesh.now, self._end_probe, probe)

    # --- messages

    def handle(self, source: int, message: Message, tcp: bool) -> None:
        """A message came."""
        kind, *args = message
        match kind:
            case "ping":
                self._send(source, ("ack", args[0]), tcp)
            case "ack":
                self._on_ack(args[0])
            case "nack":
                probe = self._pending.get(args[0])
                if isinstance(probe, _Probe):
                    probe.nacks += 1
            case "indirect":
                self._ping_for(source, *args)
            case "suspect":
                self._on_suspect(*args)
            case "dead":
                self._on_dead(*args)
            case "alive":
                self._on_alive(*args)
            case "event" if args[0] not in self._events:
                self._events.add(args[0])
                self._broadcast(("event", args[0]), message)
                self._note("event", args[0])

    def _on_ack(self, seq: int) -> None:
        waiting = self._pending.get(seq)
        if waiting is None or waiting.acked:
            return
        waiting.acked = True
        if isinstance(waiting, _Relay):
            self._send(waiting.asker, ("ack", waiting.their_seq))
        else:
            self._adjust_health(-1)
            self._probing = False

    def _ping_for(self, asker: int, their_seq: int, target: int) -> None:
        self._seq += 1
        seq, relay = self._seq, _Relay(asker, their_seq)
        self._pending[seq] = relay
        self._send(target, ("ping", seq))

        def give_up() -> None:
            self._pending.pop(seq, None)
            if not relay.acked and self.up:
                self._send(asker, ("nack", their_seq))

        self.mesh.after(self.settings.probe_timeout, give_up)

    # --- what is held of others

    def _refute(self, incarnation: int) -> None:
        self.incarnation = max(self.incarnation, incarnation) + 1
        self._adjust_health(1)
        self._broadcast(self.index, ("alive", self.index, self.incarnation))

    def _on_alive(self, other: int, incarnation: int) -> None:
        held = self.held(other)
        if other == self.index or incarnation <= held.incarnation:
            return
        self._suspicions.pop(other, None)
        since = held.since if held.state == ALIVE else self.mesh.now
        self.view[other] = _Held(ALIVE, incarnation, since)
        self._broadcast(other, ("alive", other, incarnation))
        if held.state == DEAD:
            self._note("rejoin", other)

    def _on_suspect(self, other: int, incarnation: int, accuser: int) -> None:
        if other == self.index:
            if incarnation >= self.incarnation:
                self._refute(incarnation)
            return
        held = self.held(other)
        if incarnation < held.incarnation:
            return
        suspicion = self._suspicions.get(other)
        if suspicion:
            if suspicion.confirmed < suspicion.wanted and accuser not in suspicion.accusers:
                suspicion.accusers.add(accuser)
                suspicion.confirmed += 1
                self._broadcast(other, ("suspect", other, incarnation, accuser))
                self._arm(other, suspicion)
            return
        if held.state != ALIVE:
            return
        self._broadcast(other, ("suspect", other, incarnation, accuser))
        self.view[other] = _Held(SUSPECT, incarnation, self.mesh.now)
        self._note("suspect", other)
        self._suspicions[other] = suspicion = self._new_suspicion(accuser)
        self._arm(other, suspicion)

    def _new_suspicion(self, accuser: int) -> _Suspicion:
        settings, size = self.settings, self.mesh.size
        scale = max(1.0, math.log10(max(1, size)))
        shortest = settings.suspicion_mult * scale * settings.probe_interval
        wanted = settings.suspicion_mult - 2 if settings.lha_suspicion else 0
        if size - 2 < wanted:
            wanted = 0
        longest = shortest * settings.suspicion_max_mult if wanted else shortest
        return _Suspicion({accuser}, self.mesh.now, shortest, longest, wanted)

    def _arm(self, other: int, suspicion: _Suspicion) -> None:
        suspicion.armed += 1
        left = max(0, suspicion.started + suspicion.wait() - self.mesh.now)
        self.mesh.after(left, self._suspicion_ends, other, suspicion, suspicion.armed)

    def _suspicion_ends(self, other: int, suspicion: _Suspicion, armed: int) -> None:
        current = self._suspicions.get(other) is suspicion and suspicion.armed == armed
        if self.up and current:
            self._on_dead(other, self.held(other).incarnation)

    def _on_dead(self, other: int, incarnation: int) -> None:
        if other == self.index:
            if incarnation >= self.incarnation:
                self._refute(incarnation)
            return
        held = self.held(other)
        if incarnation < held.incarnation or held.state == DEAD:
            return
        self._suspicions.pop(other, None)
        self._broadcast(other, ("dead", other, incarnation))
        self.view[other] = _Held(DEAD, incarnation, self.mesh.now)
        self._note("dead", other)
