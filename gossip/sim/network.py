"""An in-memory network in virtual time, on which real nodes run.

Processes are started, killed, switched off and stalled here; what happens to their connections is
in `tcp`, what is wrong between addresses in `faults`. A run is a pure function of its seed.
Latency is uniform; handling of a frame can be given a cost.
"""

import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from meshcache.gossip import wire
from meshcache.gossip.core.events import Close, Event, Open, Resolve, Send
from meshcache.gossip.core.node import Node
from meshcache.gossip.core.settings import LAN, Settings
from meshcache.gossip.core.table import ALIVE, Table
from meshcache.gossip.core.view import zone_of
from meshcache.gossip.sim.faults import Faults
from meshcache.gossip.sim.process import Process
from meshcache.gossip.sim.schedule import Schedule
from meshcache.gossip.sim.tcp import Tcp

EPOCH_MS = 1_800_000_000_000
"""The wall clock at the start of virtual time."""


class Network(Schedule):
    """Processes, and what happens next."""

    def __init__(
        self,
        seed: int = 0,
        *,
        latency: tuple[float, float] = (0.0002, 0.001),
        loss: float = 0.0,
        handling: float = 0.0,
        skew: float = 0.0,
        keep_events: bool = True,
    ) -> None:
        """Make an empty network.

        `latency` is one way and `handling` per frame, in seconds; `loss` a share of the segments.
        Each host's wall clock is wrong by up to `skew` s either way. `keep_events`: whether each
        process remembers all that its node told (`on_event` is told anyway).
        """
        super().__init__(seed)
        self.faults = Faults(loss=loss)
        self.handling = handling
        self.skew = skew
        self.keep_events = keep_events
        self.processes: list[Process] = []
        self.listening: dict[str, Process] = {}
        self.off: set[str] = set()
        """Addresses whose host is switched off: no answer, not even a refusal."""
        self.on_step: list[Callable[[Process], None]] = []
        """Called after each input of a node: the safety checkers."""
        self.on_event: list[Callable[[Process, Event], None]] = []
        self.tcp = Tcp(self, self, self.faults, latency)
        # All hear the same rumours, which never change: each is read once.
        self._read = lru_cache(1 << 16)(wire.decode_rumour)

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
        guest: str = "",
        mesh: str = "sim",
        speaks: tuple[int, int] = wire.SPEAKS,
        features: int = wire.FEATURES,
    ) -> Process:
        """Start a process; at the same address as an earlier one if that is dead. A `guest` holds
        no mesh key: its links are those of the guest of that name."""
        address = address or f"{name}:1"
        seeds = seeds or []
        wrong = self.skew * (2 * self.random.random() - 1) if self.skew else 0.0
        wall_ms = EPOCH_MS + int((self.now + wrong) * 1000)
        record = wire.Record(self.random.randbytes(16), name, address, wall_ms, 0, role, tags or {})
        node = Node(
            record,
            mesh=mesh,
            rng=random.Random(self.random.random()),
            now=self.now,
            wall_ms=wall_ms,
            settings=settings,
            seeds=bool(seeds),
            speaks=speaks,
            features=features,
        )
        node.spread.read = self._read
        process = Process(name, address, node, seeds, guest=guest)
        self.processes.append(process)
        self.listening[address] = process
        self.off.discard(address)
        self._pump(process)
        return process

    def acquaint(self, processes: Sequence[Process]) -> None:
        """Let these just started processes know each other, without the work of joining. They share
        one table and one view until these change."""
        first = processes[0].node.members
        table = Table(len(processes))
        for process in processes:
            me = process.node.members.me
            table.merge(me.uid, ALIVE, me.incarnation, record=me, since=0)
        zones = {process.uid: zone_of(process.node.members.me) for process in processes}
        rings = first.rings.changed(zones, ())
        for process in processes:
            process.node.members.acquaint(table, rings)
            self._pump(process)

    def kill(self, process: Process) -> None:
        """The process dies; its kernel closes its connections and refuses new ones."""
        self._stop(process)
        self.hang_up(process)

    def hang_up(self, process: Process) -> None:
        """All connections of a process are closed by its kernel."""
        for end in list(process.ends.values()):
            self.tcp.hang_up(end)

    def switch_off(self, process: Process) -> None:
        """The host dies: nothing is closed, nothing answers."""
        self._stop(process)
        self.off.add(process.address)

    def _stop(self, process: Process) -> None:
        process.up = False
        if self.listening.get(process.address) is process:
            del self.listening[process.address]

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

    # --- inputs and outputs of a node

    def _tick(self, process: Process, due: float) -> None:
        if process.wakes_at != due:
            return
        process.wakes_at = None
        if not process.up or (process.stalled and not process.timers_run):
            return
        process.node.tick(self.now)
        self._pump(process)

    def input(self, process: Process, call: Callable[..., None], *args: Any) -> None:
        """Give a node an input, now or when it goes on."""
        if not process.up:
            return
        if process.stalled:
            process.waiting.append((self.input, (process, call, *args)))
            return
        call(*args, self.now)
        self._pump(process)

    def receive(self, process: Process, number: int, frame: bytes) -> None:
        """Give a node a frame, now or when it goes on."""
        if process.stalled:
            self.input(process, process.node.receive, number, frame)
        elif process.up:
            process.node.receive(number, frame, self.now)
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
            if self.keep_events:
                process.events.append((self.now, event))
            for listener in self.on_event:
                listener(process, event)
        for check in self.on_step:
            check(process)
        due = process.node.context.timers.deadline
        if process.wakes_at is None or due < process.wakes_at:
            process.wakes_at = due
            self.at(due, self._tick, process, due)

    def _carry_out(self, process: Process, output: Send | Open | Close | Resolve) -> None:
        match output:
            case Send(link=number, frame=frame):
                self.tcp.send(process, number, frame)
            case Open(link=number, address=address):
                self.tcp.dial(process, number, address)
            case Close(link=number):
                end = process.ends.get(number)
                if end is not None:
                    self.tcp.hang_up(end)
            case Resolve():
                self.after(0.001, self.input, process, process.node.found, process.seeds)
