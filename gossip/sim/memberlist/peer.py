"""One memberlist member: its gossip, and what it holds of the others (state.go)."""

import math
from collections.abc import Callable
from typing import Protocol

from meshcache.gossip.sim.memberlist.broadcasts import Broadcasts
from meshcache.gossip.sim.memberlist.prober import Detector
from meshcache.gossip.sim.memberlist.settings import (
    PER_MESSAGE,
    SIZES,
    MemberlistSettings,
    Message,
)
from meshcache.gossip.sim.memberlist.suspicion import (
    ALIVE,
    DEAD,
    SUSPECT,
    UNTOLD,
    Held,
    Suspicion,
)
from meshcache.gossip.sim.schedule import Schedule


class Peers(Protocol):
    """The mesh, as one of its members sees it."""

    settings: MemberlistSettings

    def send(self, source: int, target: int, parts: list[Message], tcp: bool = False) -> None:
        """Send a datagram of some messages."""

    def push_pull(self, one: "Peer", index: int) -> None:
        """Let a member exchange all it holds with another."""

    def note(self, observer: int, what: str, about: int) -> None:
        """Something happened at a member."""


class Peer:
    """One member."""

    def __init__(self, schedule: Schedule, mesh: Peers, members: int, index: int) -> None:
        """A member of so many, that knows all of them."""
        self._schedule, self._mesh, self._members, self.index = schedule, mesh, members, index
        self.settings = settings = mesh.settings
        self.up, self.blocked = True, False
        self.outbox: list[tuple[int, list[Message], bool]] = []
        self.inbox: list[tuple[int, list[Message], bool]] = []
        self.incarnation = 0
        self.view: dict[int, Held] = {}
        self.detector = Detector(schedule, members, self)
        self._suspicions: dict[int, Suspicion] = {}
        self._broadcasts = Broadcasts(settings, members)
        self._events: set[int] = set()
        chance = schedule.random.uniform
        schedule.after(chance(0, settings.gossip_interval), self._gossip)
        first = chance(0, settings.push_pull_interval) + self.push_pull_interval
        schedule.after(first, self._push_pull)

    def held(self, other: int) -> Held:
        """What this member holds of another."""
        return self.view.get(other, UNTOLD)

    def pick(self, count: int, suits: Callable[[int], bool]) -> list[int]:
        """kRandomNodes: up to `count` others, giving up after 3 N draws."""
        picked: list[int] = []
        for _ in range(3 * self._members):
            if len(picked) >= count:
                break
            other = self._schedule.random.randrange(self._members)
            if other != self.index and other not in picked and suits(other):
                picked.append(other)
        return picked

    # --- gossip

    def send(self, target: int, message: Message, tcp: bool = False) -> None:
        """Send a message, with broadcasts on its back."""
        room = self.settings.datagram - SIZES[message[0]] - 4
        riders = [] if tcp else self._broadcasts.take(room)
        self._mesh.send(self.index, target, [message, *riders], tcp)

    def send_alone(self, target: int, messages: list[Message]) -> None:
        """Send just these."""
        self._mesh.send(self.index, target, messages)

    def _stopped(self) -> bool:
        return self.blocked and not self.settings.timers_run

    def _gossip(self) -> None:
        if not self.up:
            return
        self._schedule.after(self.settings.gossip_interval, self._gossip)
        if self._stopped() or not self._broadcasts:
            return

        def worth_telling(other: int) -> bool:
            held = self.held(other)
            recent = self._schedule.now - held.since <= self.settings.gossip_to_the_dead
            return held.state != DEAD or recent

        for other in self.pick(self.settings.gossip_nodes, worth_telling):
            messages = self._broadcasts.take(self.settings.datagram - PER_MESSAGE)
            if not messages:
                break
            self._mesh.send(self.index, other, messages)

    @property
    def push_pull_interval(self) -> float:
        """Seconds from one push/pull of a member to its next: longer in larger meshes."""
        size = self._members
        return self.settings.push_pull_interval * (
            1 if size <= 32 else math.ceil(math.log2(size) - 5) + 1
        )

    def _push_pull(self) -> None:
        if not self.up:
            return
        self._schedule.after(self.push_pull_interval, self._push_pull)
        for index in self.pick(1, lambda other: self.held(other).state == ALIVE):
            self._mesh.push_pull(self, index)

    def table(self) -> list[tuple[int, int, int]]:
        """All that it would tell in a push/pull: (who, state, incarnation)."""
        rows = [(other, held.state, held.incarnation) for other, held in self.view.items()]
        return [*rows, (self.index, ALIVE, self.incarnation)]

    def merge(self, table: list[tuple[int, int, int]]) -> None:
        """As memberlist does: what another holds dead is only a suspicion here."""
        for other, state, incarnation in table:
            if state == ALIVE:
                self._on_alive(other, incarnation)
            else:
                self.on_suspect(other, incarnation, self.index)

    def handle(self, source: int, message: Message, tcp: bool) -> None:
        """A message came."""
        kind, *args = message
        match kind:
            case "ping":
                self.send(source, ("ack", args[0]), tcp)
            case "ack":
                self.detector.on_ack(args[0])
            case "nack":
                self.detector.on_nack(args[0])
            case "indirect":
                self.detector.ping_for(source, *args)
            case "suspect":
                self.on_suspect(*args)
            case "dead":
                self._on_dead(*args)
            case "alive":
                self._on_alive(*args)
            case "event" if args[0] not in self._events:
                self._events.add(args[0])
                self._broadcasts.add(("event", args[0]), message)
                self._mesh.note(self.index, "event", args[0])

    # --- what is held of others

    def _refute(self, incarnation: int) -> None:
        self.incarnation = max(self.incarnation, incarnation) + 1
        self.detector.adjust_health(1)
        self._broadcasts.add(self.index, ("alive", self.index, self.incarnation))

    def _on_alive(self, other: int, incarnation: int) -> None:
        held = self.held(other)
        if other == self.index or incarnation <= held.incarnation:
            return
        self._suspicions.pop(other, None)
        since = held.since if held.state == ALIVE else self._schedule.now
        self.view[other] = Held(ALIVE, incarnation, since)
        self._broadcasts.add(other, ("alive", other, incarnation))
        if held.state == DEAD:
            self._mesh.note(self.index, "rejoin", other)

    def on_suspect(self, other: int, incarnation: int, accuser: int) -> None:
        """Somebody, maybe this member, suspects another."""
        if other == self.index:
            if incarnation >= self.incarnation:
                self._refute(incarnation)
            return
        held, now = self.held(other), self._schedule.now
        if incarnation < held.incarnation:
            return
        suspicion = self._suspicions.get(other)
        if suspicion is None and held.state != ALIVE:
            return
        if suspicion is not None and not suspicion.confirm(accuser):
            return
        self._broadcasts.add(other, ("suspect", other, incarnation, accuser))
        if suspicion is None:
            self.view[other] = Held(SUSPECT, incarnation, now)
            self._mesh.note(self.index, "suspect", other)
            suspicion = Suspicion.begin(self.settings, self._members, accuser, now)
            self._suspicions[other] = suspicion
        suspicion.armed += 1
        self._schedule.at(suspicion.ends, self._suspicion_ends, other, suspicion, suspicion.armed)

    def _suspicion_ends(self, other: int, suspicion: Suspicion, armed: int) -> None:
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
        self._broadcasts.add(other, ("dead", other, incarnation))
        self.view[other] = Held(DEAD, incarnation, self._schedule.now)
        self._mesh.note(self.index, "dead", other)
