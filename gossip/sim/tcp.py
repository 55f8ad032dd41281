"""Connections that behave as TCP: in order, held back by what was lost, silent when cut.

A lost segment costs a retransmission timeout, doubled each time it is lost again, and holds back
what follows; when three later segments have arrived it is sent again at once. A cut is silence with
back-off (0.2 s doubling to 120 s, as Linux has it) and ends only when the next retransmission gets
through; a killed process closes its connections, a switched-off host does not. A cut of one way
stops a connection as one of both ways does: what arrives is not acknowledged, so nothing further is
sent.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from meshcache.gossip.core.events import Why
from meshcache.gossip.sim.faults import Faults
from meshcache.gossip.sim.process import FIRST_TIMEOUT, LAST_TIMEOUT, End, Process
from meshcache.gossip.sim.schedule import Schedule

CONNECT_TIMEOUT = 1.0
"""As the ZeroMQ transport has it."""
OVERHEAD = 35 + 52
"""Bytes on the wire beside a frame: CURVE and ZMTP, IP and TCP with timestamps."""
PURE_ACK = 52
BUSY = 256
"""Segments under way at which the sender is told that the link is busy."""
DUPLICATES = 3
"""Acknowledgements of the same after which a segment is taken for lost."""
STRAY = 3.0
"""A repeated or reordered frame comes within so many seconds."""


class Hosts(Protocol):
    """Where processes are."""

    listening: dict[str, Process]
    off: set[str]
    handling: float

    def input(self, process: Process, call: Callable[..., None], *args: Any) -> None:
        """Give the node of a process an input."""

    def receive(self, process: Process, number: int, frame: bytes) -> None:
        """Give the node of a process a frame."""


class Tcp:
    """All connections of one network."""

    def __init__(
        self, schedule: Schedule, hosts: Hosts, faults: Faults, latency: tuple[float, float]
    ) -> None:
        """Make none yet; `latency` one way in seconds, uniform."""
        self._schedule = schedule
        self._hosts = hosts
        self._faults = faults
        self._chance = schedule.random.random
        self.set_latency(*latency)

    def set_latency(self, least: float, most: float) -> None:
        """From now on a segment takes so many seconds one way, uniform; what was sent before still
        comes before."""
        self._low, self._spread = least, most - least

    def _delay(self) -> float:
        return self._low + self._spread * self._chance()

    # --- opening and closing

    def dial(self, process: Process, number: int, address: str) -> None:
        """Open a connection under this number; frames may be sent at once."""
        end = process.ends[number] = End(process, number)
        target = self._hosts.listening.get(address)
        there, back = (process.address, address), (address, process.address)
        faults = self._faults
        lost = faults.severed(*there)
        if not lost and (faults.loss or faults.losses):
            passed = (1 - faults.share_lost(*there)) * (1 - faults.share_lost(*back))
            lost = self._chance() > passed
        if lost or address in self._hosts.off:
            # A lost SYN is sent again after a second: by then the transport has given up.
            self._schedule.after(CONNECT_TIMEOUT, self._report, end, Why.UNREACHABLE)
            return
        round_trip = self._delay() + self._delay()
        if target is None:
            self._schedule.after(round_trip, self._report, end, Why.REFUSED)
            return
        target.accepted += 1
        other = End(target, -target.accepted, end)
        # TCP and CURVE take two more round trips before the first frame.
        end.arrives = other.arrives = self._schedule.now + 3 * round_trip
        target.ends[other.number] = other
        if process.guest:
            target.node.restrict(other.number, process.guest)
        end.other = other
        unsent, end.unsent = end.unsent, []
        for frame in unsent:
            self._in_order(other, frame)

    def _report(self, end: End, why: Why) -> None:
        if not end.open:
            return
        end.open = False
        end.process.ends.pop(end.number, None)
        self._hosts.input(end.process, end.process.node.link_closed, end.number, why)

    def hang_up(self, end: End) -> None:
        """Close one end; the other is told, after all that was sent before."""
        end.open = False
        end.process.ends.pop(end.number, None)
        if end.other is not None:
            self._in_order(end.other, None)

    # --- sending

    def send(self, process: Process, number: int, frame: bytes) -> None:
        """Send a frame; it is lost if the connection is no more."""
        end = process.ends.get(number)
        if end is None or not process.up:
            return
        process.bytes_sent += len(frame) + OVERHEAD
        process.frames_sent += 1
        to, faults = end.other, self._faults
        if to is None:
            end.unsent.append(frame)
            return
        if faults.duplicated and self._chance() < faults.duplicated:
            self._stray(process, to.process, frame)
        if faults.reordered and self._chance() < faults.reordered:
            self._stray(process, to.process, frame)
        else:
            self._in_order(to, frame)

    def _stray(self, sender: Process, target: Process, frame: bytes) -> None:
        self._schedule.after(STRAY * self._chance(), self._come_alone, sender, target, frame)

    def _come_alone(self, sender: Process, target: Process, frame: bytes) -> None:
        """A frame out of its order arrives, over what connects the two now."""
        if self._faults.severed(sender.address, target.address):
            return
        for end in target.ends.values():
            if end.other is not None and end.other.process is sender:
                self._deliver(end, frame)
                return

    def _in_order(self, to: End, frame: bytes | None) -> None:
        """Bring to `to` what is sent now: a frame, or (None) the end of the connection."""
        schedule, faults = self._schedule, self._faults
        now, share = schedule.now, 0.0
        arrives = now + self._low + self._spread * self._chance()
        if faults.loss or faults.losses:
            assert to.other is not None
            share = faults.share_lost(to.other.process.address, to.process.address)
            timeout = FIRST_TIMEOUT
            while self._chance() < share:
                arrives += timeout
                timeout = min(2 * timeout, LAST_TIMEOUT)
        held_back = arrives < now + FIRST_TIMEOUT and to.arrives > arrives
        if to.arrives < arrives:
            to.arrives = arrives
        waiting = to.under_way
        if len(waiting) == BUSY:
            self._tell_busy(to, True)
        waiting.append((to.arrives, frame))
        if len(waiting) == 1:
            self._wait_for(to, to.arrives)
        elif held_back and share:
            self._acknowledge_again(to, share)

    def _acknowledge_again(self, to: End, share: float) -> None:
        """A segment arrives behind one that is missing; the third such one has it sent again."""
        to.duplicates += 1
        if to.duplicates != DUPLICATES or self._chance() < share:
            return
        soon = self._schedule.now + 3 * self._delay()
        if to.under_way[0][0] > soon:
            to.under_way = deque((min(when, soon), frame) for when, frame in to.under_way)
            to.arrives = soon
            self._wait_for(to, soon)

    # --- arriving

    def _wait_for(self, to: End, when: float) -> None:
        to.wakes_at = when
        self._schedule.at(when, self._arrive, to, when)

    def _arrive(self, to: End, when: float) -> None:
        """The first segment under way arrives, or does not."""
        if to.wakes_at != when:
            return  # it was put forward
        sender = to.other
        if not to.open or sender is None:
            to.under_way.clear()
            return
        address, now = to.process.address, self._schedule.now
        if address in self._hosts.off or self._faults.severed(sender.process.address, address):
            # Not acknowledged: sent again, later each time, and all that follows waits behind.
            self._wait_for(to, now + to.timeout)
            to.timeout = min(2 * to.timeout, LAST_TIMEOUT)
            return
        to.timeout, to.duplicates = FIRST_TIMEOUT, 0
        if not to.process.up:
            to.open = False
            if sender.open:  # the host is back, without the connection: it answers with a reset
                self._report(sender, Why.CLOSED)
            return
        waiting = to.under_way
        while waiting and waiting[0][0] <= now:
            frame = waiting.popleft()[1]
            if frame is None:
                self._report(to, Why.CLOSED)
            else:
                self._deliver(to, frame)
        if to.busy and len(waiting) < BUSY:
            self._tell_busy(to, False)
        if waiting:
            self._wait_for(to, waiting[0][0])

    def _tell_busy(self, to: End, is_busy: bool) -> None:
        """The sender's socket buffer is full, or no longer."""
        to.busy = is_busy
        sender = to.other
        if sender is not None and sender.open and sender.process.up:
            sender.process.node.link_busy(sender.number, is_busy, self._schedule.now)

    def _deliver(self, to: End, frame: bytes) -> None:
        hosts = self._hosts
        if hosts.handling:
            self._schedule.after(hosts.handling, hosts.receive, to.process, to.number, frame)
        else:
            hosts.receive(to.process, to.number, frame)
