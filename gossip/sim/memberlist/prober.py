"""memberlist's failure detector (state.go, awareness.go): probes, direct and through others."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from meshcache.gossip.sim.memberlist.settings import MemberlistSettings, Message
from meshcache.gossip.sim.memberlist.suspicion import ALIVE, DEAD, Held
from meshcache.gossip.sim.schedule import Schedule


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


class Prober(Protocol):
    """What the failure detector needs of its member."""

    index: int
    up: bool
    blocked: bool
    settings: MemberlistSettings

    def held(self, other: int) -> Held:
        """What is held of another."""

    def pick(self, count: int, suits: Callable[[int], bool]) -> list[int]:
        """Some others by chance."""

    def send(self, target: int, message: Message, tcp: bool = False) -> None:
        """Send a message, with broadcasts on its back."""

    def send_alone(self, target: int, messages: list[Message]) -> None:
        """Send just these."""

    def on_suspect(self, other: int, incarnation: int, accuser: int) -> None:
        """Hold another suspect."""


class _Order:
    """All members in an order by chance, drawn one by one: a shuffle that costs only what is used
    of it (a mesh of ten thousand would hold a hundred million places else)."""

    def __init__(self, schedule: Schedule, members: int) -> None:
        self._draw, self._members = schedule.random.randrange, members
        self._moved: dict[int, int] = {}
        self._next = 0

    def next(self) -> int:
        if self._next >= self._members:
            self._next, self._moved = 0, {}
        place = self._draw(self._next, self._members)
        drawn = self._moved.get(place, place)
        self._moved[place] = self._moved.pop(self._next, self._next)
        self._next += 1
        return drawn


class Detector:
    """The failure detector of one member."""

    def __init__(self, schedule: Schedule, members: int, prober: Prober) -> None:
        """Begin to probe within an interval."""
        self._schedule, self._members, self._prober = schedule, members, prober
        self._settings = prober.settings
        self._order = _Order(schedule, members)
        self._health = self._seq = 0
        self._probing = False
        self._stalled: list[tuple[float, _Probe, float]] = []
        self._pending: dict[int, _Probe | _Relay] = {}
        self._after(schedule.random.uniform(0, self._settings.probe_interval), self._tick)

    def _after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        self._schedule.after(delay, call, *args)

    def _patience(self) -> float:
        """The probe interval, stretched by this member's own bad health (LHA-Probe)."""
        return self._settings.probe_interval * (self._health + 1 if self._settings.lha_probe else 1)

    def adjust_health(self, delta: int) -> None:
        """Think better or worse of oneself."""
        self._health = max(0, min(self._settings.awareness_max - 1, self._health + delta))

    def _next_to_probe(self) -> int | None:
        for _ in range(self._members + 1):
            other = self._order.next()
            if other != self._prober.index and self._prober.held(other).state != DEAD:
                return other
        return None

    def _stopped(self) -> bool:
        return self._prober.blocked and not self._settings.timers_run

    def _tick(self) -> None:
        prober, now = self._prober, self._schedule.now
        if not prober.up:
            return
        self._after(self._settings.probe_interval, self._tick)
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
            self._stalled.append((now, probe, self._patience()))
            return
        held = prober.held(other)
        if held.state == ALIVE:
            prober.send(other, ("ping", self._seq))
        else:
            about = ("suspect", other, held.incarnation, prober.index)
            buddy: list[Message] = [about] if self._settings.buddy else []
            prober.send_alone(other, [("ping", self._seq), *buddy])
        self._after(self._settings.probe_timeout, self._ask_others, probe)
        self._after(self._patience(), self._end_probe, probe)

    def _ask_others(self, probe: _Probe) -> None:
        prober = self._prober
        if probe.acked or not prober.up:
            return
        if self._stopped():
            patience = self._patience() - self._settings.probe_timeout
            self._stalled.append((self._schedule.now, probe, patience))
            return
        others = prober.pick(
            self._settings.indirect_checks,
            lambda other: other != probe.target and prober.held(other).state == ALIVE,
        )
        probe.asked = len(others)
        for other in others:
            prober.send(other, ("indirect", probe.seq, probe.target))
        prober.send(probe.target, ("ping", probe.seq), tcp=True)

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
        prober = self._prober
        if not prober.up:
            return
        self.adjust_health(probe.asked - probe.nacks if probe.asked else 1)
        prober.on_suspect(probe.target, prober.held(probe.target).incarnation, prober.index)

    def wake(self) -> None:
        """The block ends: the probe that hung goes on, and has failed if its deadline is past."""
        now = self._schedule.now
        stalled, self._stalled = self._stalled, []
        for since, probe, patience in stalled:
            if probe.acked:
                continue
            self._ask_others(probe)
            if now - since >= patience:
                self._end_probe(probe)
            else:
                self._after(since + patience - now, self._end_probe, probe)

    # --- messages

    def on_ack(self, seq: int) -> None:
        """A probe was answered."""
        waiting = self._pending.get(seq)
        if waiting is None or waiting.acked:
            return
        waiting.acked = True
        if isinstance(waiting, _Relay):
            self._prober.send(waiting.asker, ("ack", waiting.their_seq))
        else:
            self.adjust_health(-1)
            self._probing = False

    def on_nack(self, seq: int) -> None:
        """One who was asked to probe in this member's place had no answer."""
        probe = self._pending.get(seq)
        if isinstance(probe, _Probe):
            probe.nacks += 1

    def ping_for(self, asker: int, their_seq: int, target: int) -> None:
        """Probe in another's place."""
        prober = self._prober
        self._seq += 1
        seq, relay = self._seq, _Relay(asker, their_seq)
        self._pending[seq] = relay
        prober.send(target, ("ping", seq))

        def give_up() -> None:
            self._pending.pop(seq, None)
            if not relay.acked and prober.up:
                prober.send(asker, ("nack", their_seq))

        self._after(self._settings.probe_timeout, give_up)
