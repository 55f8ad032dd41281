"""An in-memory network in virtual time, on which real nodes run.

Everything is a heap of timed calls and one seeded source of chance: a run is a pure function of
its seed. Links behave as TCP connections do: in order, a lost segment costs a retransmission
timeout and holds back what follows (until three later segments tell of it), a cut is silence with
back-off (0.2 s doubling to 120 s, as Linux has it), a killed process closes its connections, a
switched-off host does not. Latency is uniform; handling of a frame can be given a cost.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from meshcache.gossip import wire
from meshcache.gossip.core.events import Close, Event, Open, Resolve, Send, Why
from meshcache.gossip.core.node import Node
from meshcache.gossip.core.settings import LAN, Settings

EPOCH_MS = 1_800_000_000_000
"""The wall clock at the start of virtual time."""
FIRST_TIMEOUT, LAST_TIMEOUT = 0.2, 120.0
"""TCP retransmission timeouts (Linux: TCP_RTO_MIN, TCP_RTO_MAX)."""
CONNECT_TIMEOUT = 1.0
"""As the ZeroMQ transport has it."""
OVERHEAD = 35 + 52
"""Bytes on the wire beside a frame: CURVE and ZMTP, IP and TCP with timestamps."""
PURE_ACK = 52
BUSY = 256
"""Segments under way at which the sender is told that the link is busy."""


@dataclass(eq=False, repr=False)
class End:
    """One side of a connection."""

    process: "Process"
    number: int
    other: "End | None" = None
    open: bool = True
    arrives: float = 0.0
    """When the last segment towards this end arrives: the next one is not earlier."""
    under_way: deque[tuple[float, Callable[..., None], tuple[Any, ...]]] = field(
        default_factory=deque
    )
    """Segments towards this end, in order: when each arrives, and what is done then."""
    timeout: float = FIRST_TIMEOUT
    wakes_at: float = 0.0
    busy: bool = False
    unsent: list[bytes] = field(default_factory=list)
    """Frames that wait until the connection is open."""


@dataclass(eq=False, repr=False)
class Process:
    """A node on the network."""

    name: str
    address: str
    node: Node
    seeds: list[str]
    up: bool = True
    stalled: bool = False
    timers_run: bool = False
    ends: dict[int, End] = field(default_factory=dict)
    waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = field(default_factory=list)
    accepted: int = 0
    wakes_at: float | None = None
    bytes_sent: int = 0
    frames_sent: int = 0
    events: list[tuple[float, Event]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<process {self.name} {self.uid.hex()[:6]} at {self.address}>"

    @property
    def uid(self) -> bytes:
        """Who it is."""
        return self.node.uid


class Network:
    """Processes, the connections between them, and what happens next."""

    def __init__(
        self,
        seed: int = 0,
        *,
        latency: tuple[float, float] = (0.0002, 0.001),
        loss: float = 0.0,
        handling: float = 0.0,
    ) -> None:
        """Make an empty network; `latency` one way in seconds, `loss` a share of the segments."""
        self.random = random.Random(seed)
        self.latency = latency
        self.loss = loss
        self.handling = handling
        self.now = 0.0
        self.processes: list[Process] = []
        self.listening: dict[str, Process] = {}
        self.off: set[str] = set()
        """Addresses whose host is switched off: no answer, not even a refusal."""
        self.cuts: list[Callable[[str, str], bool]] = []
        """A segment from one address to another is lost if any of these says so."""
        self.on_step: list[Callable[[Process], None]] = []
        """Called after each input of a node: the safety checkers."""
        self.on_event: list[Callable[[Process, Event], None]] = []
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._pushed = 0

    # --- time

    def at(self, when: float, call: Callable[..., None], *args: Any) -> None:
        """Call at this time."""
        self._pushed += 1
        heapq.heappush(self._heap, (max(when, self.now), self._pushed, call, args))

    def after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        """Call after so many seconds."""
        self.at(self.now + delay, call, *args)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        self.run_until(lambda: False, self.now + seconds)

    def run_until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Let time pass until the condition holds (looked at every 10 ms of virtual time) or the
        deadline comes; whether it held."""
        next_look = self.now
        while True:
            if self.now >= next_look:
                if condition():
                    return True
                next_look = self.now + 0.01
            if not self._heap or self._heap[0][0] > deadline:
                self.now = deadline
                return condition()
            self.now, _, call, args = heapq.heappop(self._heap)
            call(*args)

    # --- processes

    def start(
        self,
        name: str,
        *,
        address: str | None = None,
        seeds: list[str] | None = None,
        settings: Settings = LAN,
        tags: dict[str, str] | None = None,
        role: int = 0,
        mesh: str = "sim",
    ) -> Process:
        """Start a process; at the same address as an earlier one if that is dead."""
        address = address or f"{name}:1"
        seeds = seeds or []
        wall_ms = EPOCH_MS + int(self.now * 1000)
        record = wire.Record(self.random.randbytes(16), name, address, wall_ms, 0, role, tags or {})
        node = Node(
            record,
            mesh=mesh,
            rng=random.Random(self.random.random()),
            now=self.now,
            wall_ms=wall_ms,
            settings=settings,
            seeds=bool(seeds),
        )
        process = Process(name, address, node, seeds)
        self.processes.append(process)
        self.listening[address] = process
        self.off.discard(address)
        self._pump(process)
        return process

    def kill(self, process: Process) -> None:
        """The process dies; its kernel closes its connections and refuses new ones."""
        process.up = False
        if self.listening.get(process.address) is process:
            del self.listening[process.address]
        for end in list(process.ends.values()):
            self._hang_up(end)

    def switch_off(self, process: Process) -> None:
        """The host dies: nothing is closed, nothing answers."""
        process.up = False
        if self.listening.get(process.address) is process:
            del self.listening[process.address]
        self.off.add(process.address)

    def stall(self, process: Process, *, timers_run: bool = False) -> None:
        """The process stands still (its timers may run on); its kernel goes on receiving."""
        process.stalled, process.timers_run = True, timers_run

    def resume(self, process: Process) -> None:
        """The process goes on: first with what came meanwhile, then with what is due."""
        if not process.up:
            return
        process.stalled = False
        waiting, process.waiting = process.waiting, []
        for call, args in waiting:
            call(*args)
        process.wakes_at = None
        self._pump(process)

    def act(self, process: Process, call: Callable[[float], object]) -> None:
        """Have the user of a process do something, with the time as argument."""
        call(self.now)
        self._pump(process)

    def _tick(self, process: Process, due: float) -> None:
        if process.wakes_at != due:
            return
        process.wakes_at = None
        if not process.up or (process.stalled and not process.timers_run):
            return
        process.node.tick(self.now)
        self._pump(process)

    def _input(self, process: Process, call: Callable[..., None], *args: Any) -> None:
        """Give a node an input, now or when it goes on."""
        if not process.up:
            return
        if process.stalled:
            process.waiting.append((self._input, (process, call, *args)))
            return
        call(*args, self.now)
        self._pump(process)

    def _pump(self, process: Process) -> None:
        """Carry out what a node wishes."""
        outputs, events = process.node.take()
        for output in outputs:
            if process.stalled:
                process.waiting.append((self._carry_out, (process, output)))
            else:
                self._carry_out(process, output)
        for event in events:
            process.events.append((self.now, event))
            for listener in self.on_event:
                listener(process, event)
        for check in self.on_step:
            check(process)
        due = process.node.deadline
        if process.wakes_at is None or due < process.wakes_at:
            process.wakes_at = due
            self.at(due, self._tick, process, due)

    def _carry_out(self, process: Process, output: Send | Open | Close | Resolve) -> None:
        match output:
            case Send(link=number, frame=frame):
                self._send(process, number, frame)
            case Open(link=number, address=address):
                process.ends[number] = End(process, number)
                self._connect(process.ends[number], address, self.now + CONNECT_TIMEOUT)
            case Close(link=number):
                end = process.ends.get(number)
                if end is not None:
                    self._hang_up(end)
            case Resolve():
                self.after(0.001, self._input, process, process.node.found, process.seeds)

    # --- connections

    def cut(self, source: str, target: str) -> bool:
        """Whether nothing gets from one address to another now."""
        return any(lost(source, target) for lost in self.cuts)

    def _delay(self) -> float:
        low, high = self.latency
        return low + (high - low) * self.random.random()

    def _connect(self, end: End, address: str, deadline: float) -> None:
        process = end.process
        if not end.open:
            return
        lost = self.cut(process.address, address) or self.cut(address, process.address)
        if not lost and self.loss:
            lost = self.random.random() < 1 - (1 - self.loss) ** 2
        if lost or address in self.off:
            # A lost SYN is sent again after a second: by then the transport has given up.
            self.at(deadline, self._report, end, Why.UNREACHABLE)
            return
        target = self.listening.get(address)
        round_trip = self._delay() + self._delay()
        if target is None:
            self.after(round_trip, self._report, end, Why.REFUSED)
            return
        target.accepted += 1
        other = End(target, -target.accepted, end)
        # TCP and CURVE take two more round trips before the first frame.
        end.arrives = other.arrives = self.now + 3 * round_trip
        target.ends[other.number] = other
        end.other = other
        unsent, end.unsent = end.unsent, []
        for frame in unsent:
            self._in_order(other, self._deliver, other, frame)

    def _report(self, end: End, why: Why) -> None:
        if not end.open:
            return
        end.open = False
        end.process.ends.pop(end.number, None)
        self._input(end.process, end.process.node.link_closed, end.number, why)

    def _hang_up(self, end: End) -> None:
        end.open = False
        end.process.ends.pop(end.number, None)
        if end.other is not None:
            self._in_order(end.other, self._report, end.other, Why.CLOSED)

    def _send(self, process: Process, number: int, frame: bytes) -> None:
        end = process.ends.get(number)
        if end is None or not process.up:
            return
        process.bytes_sent += len(frame) + OVERHEAD
        process.frames_sent += 1
        if end.other is None:
            end.unsent.append(frame)
        else:
            self._in_order(end.other, self._deliver, end.other, frame)

    def _in_order(self, to: End, call: Callable[..., None], *args: Any) -> None:
        """Call when a segment that is sent now arrives at `to`."""
        delay, timeout = self._delay(), FIRST_TIMEOUT
        while self.loss and self.random.random() < self.loss:
            delay += timeout
            timeout *= 2
        to.arrives = max(to.arrives, self.now + delay)
        if len(to.under_way) == BUSY:
            self._tell_busy(to, True)
        to.under_way.append((to.arrives, call, args))
        if len(to.under_way) == 1:
            self._wait_for(to, to.arrives)
        elif len(to.under_way) > 3 and to.timeout == FIRST_TIMEOUT:
            # Three later segments came: fast retransmission, the first does not wait longer.
            soon = self.now + 3 * self._delay()
            if to.under_way[0][0] > soon:
                waiting = [(min(when, soon), *rest) for when, *rest in to.under_way]
                to.under_way = deque(waiting)  # type: ignore[arg-type]
                to.arrives = soon
                self._wait_for(to, soon)

    def _wait_for(self, to: End, when: float) -> None:
        to.wakes_at = when
        self.at(when, self._arrive, to, when)

    def _arrive(self, to: End, when: float) -> None:
        """The first segment under way arrives, or does not."""
        if to.wakes_at != when:
            return  # it was put forward
        sender = to.other
        if not to.open or sender is None:
            to.under_way.clear()
            return
        source, target = sender.process.address, to.process.address
        if target in self.off or self.cut(source, target) or self.cut(target, source):
            # Not acknowledged: sent again, later each time, and all that follows waits behind.
            self._wait_for(to, self.now + to.timeout)
            to.timeout = min(2 * to.timeout, LAST_TIMEOUT)
            return
        to.timeout = FIRST_TIMEOUT
        if not to.process.up:
            to.open = False
            if sender.open:  # the host is back, without the connection: it answers with a reset
                self._report(sender, Why.CLOSED)
            return
        while to.under_way and to.under_way[0][0] <= self.now:
            _, call, args = to.under_way.popleft()
            call(*args)
        if to.busy and len(to.under_way) < BUSY:
            self._tell_busy(to, False)
        if to.under_way:
            self._wait_for(to, to.under_way[0][0])

    def _tell_busy(self, to: End, is_busy: bool) -> None:
        """The sender's socket buffer is full, or no longer."""
        to.busy = is_busy
        sender = to.other
        if sender is not None and sender.open and sender.process.up:
            sender.process.node.link_busy(sender.number, is_busy, self.now)

    def _deliver(self, to: End, frame: bytes) -> None:
        process = to.process
        if self.handling:
            self.after(self.handling, self._input, process, process.node.receive, to.number, frame)
        else:
            self._input(process, process.node.receive, to.number, frame)
