"""The core under random schedules, found and shortened by hypothesis.

Four nodes without any network: what they send lies in a bag, from which the rules deliver in any
order, drop, and give twice. Nodes are killed, started anew, stand still, write and delete. The
simulator's safety rules hold at every step; and once everything is delivered again, all living
nodes see exactly each other and hold one map, in which nothing deleted is back.
"""

import random
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from meshcache.gossip import wire
from meshcache.gossip.core.events import Close, Open, Resolve, Send, Why
from meshcache.gossip.core.node import Node
from meshcache.gossip.core.settings import Settings
from meshcache.gossip.core.statemap import ANY, Version
from meshcache.gossip.sim.checkers import Checkers
from meshcache.gossip.sim.network import EPOCH_MS
from meshcache.gossip.sim.process import Process

NODES = 4
SETTINGS = Settings(reentry=20.0)
"""Who stands still again and again may come back soon enough to be seen."""
QUIET = 90.0
"""Seconds of virtual time in which everything must be repaired; a tenth of it does in most runs."""


@dataclass
class Item:
    """Something on its way to a process: a frame, or (with `why`) the end of a link."""

    to: Process
    number: int
    frame: bytes = b""
    why: Why | None = None


@dataclass
class Bag:
    """Nodes, and what is under way between them."""

    now: float = 0.0
    processes: list[Process] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    ends: dict[tuple[bytes, int], tuple[Process, int]] = field(default_factory=dict)
    """(uid, link) -> the other end."""
    on_step: list = field(default_factory=list)  # type: ignore[type-arg]
    on_event: list = field(default_factory=list)  # type: ignore[type-arg]
    accepted: int = 0

    def start(self, name: str) -> Process:
        uid = bytes([len(self.processes) + 1]) * 16
        wall_ms = EPOCH_MS + int(self.now * 1000)
        record = wire.Record(uid, name, f"{name}:1", wall_ms, 0, 0, {})
        rng = random.Random(len(self.processes))
        node = Node(
            record,
            mesh="bag",
            rng=rng,
            now=self.now,
            wall_ms=wall_ms,
            settings=SETTINGS,
            seeds=True,
        )
        process = Process(name, f"{name}:1", node, [f"n{index}:1" for index in range(NODES)])
        self.processes.append(process)
        self.after(process)
        return process

    def after(self, process: Process) -> None:
        """Carry out what a node wishes after an input."""
        outputs, events = process.node.take()
        for listener in self.on_event:
            for event in events:
                listener(process, event)
        for output in outputs:
            match output:
                case Send(link=number, frame=frame):
                    other = self.ends.get((process.uid, number))
                    if other is not None:
                        self.items.append(Item(*other, frame))
                case Open(link=number, address=address):
                    self.open(process, number, address)
                case Close(link=number):
                    self.close(process, number)
                case Resolve():
                    process.node.found(process.seeds, self.now)
                    self.after(process)
        for check in self.on_step:
            check(process)

    def open(self, process: Process, number: int, address: str) -> None:
        found = [one for one in self.processes if one.up and one.address == address]
        if not found:
            self.items.append(Item(process, number, why=Why.REFUSED))
            return
        self.accepted += 1
        self.ends[process.uid, number] = found[0], -self.accepted
        self.ends[found[0].uid, -self.accepted] = process, number

    def close(self, process: Process, number: int) -> None:
        other = self.ends.pop((process.uid, number), None)
        if other is not None:
            self.ends.pop((other[0].uid, other[1]), None)
            self.items.append(Item(*other, why=Why.CLOSED))

    def kill(self, process: Process) -> None:
        process.up = False
        for uid, number in [end for end in self.ends if end[0] == process.uid]:
            self.close(process, number)
            assert uid == process.uid
        self.items = [item for item in self.items if item.to is not process]

    def deliver(self, item: Item) -> None:
        if not item.to.up:
            return
        if item.why is not None:
            item.to.node.link_closed(item.number, item.why, self.now)
        else:
            item.to.node.receive(item.number, item.frame, self.now)
        self.after(item.to)

    def deliverable(self) -> list[int]:
        return [index for index, item in enumerate(self.items) if not item.to.stalled]

    def deliver_all(self) -> None:
        for _ in range(5000):
            ready = self.deliverable()
            if not ready:
                return
            self.deliver(self.items.pop(ready[0]))
        raise AssertionError("the nodes never come to rest")

    def tick(self) -> None:
        """Everybody who is due and does not stand still."""
        for process in self.processes:
            if process.up and not process.stalled and process.node.deadline <= self.now:
                process.node.tick(self.now)
                self.after(process)

    def pass_time(self, seconds: float) -> None:
        """All is delivered at once, and everybody wakes in time."""
        end = self.now + seconds
        while True:
            self.deliver_all()
            due = [one.node.deadline for one in self.processes if one.up and not one.stalled]
            if not due or min(due) > end:
                self.now = end
                return
            self.now = max(self.now, min(due))
            self.tick()


def version(entry: wire.MapEntry) -> Version:
    return Version(entry.clock, entry.writer)


class Machine(RuleBasedStateMachine):
    """The rules."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = Bag()
        self.bag.on_step.append(Checkers(self.bag))  # type: ignore[arg-type]
        self.written: dict[str, dict[Version, bytes | None]] = {}
        for index in range(NODES):
            self.bag.start(f"n{index}")
        self.bag.pass_time(4)

    def running(self, index: int) -> Process | None:
        process = self.bag.processes[index % len(self.bag.processes)]
        return process if process.up and not process.stalled else None

    # --- the network

    @precondition(lambda self: self.bag.deliverable())
    @rule(which=st.integers(0, 10_000))
    def deliver_any(self, which: int) -> None:
        ready = self.bag.deliverable()
        self.bag.deliver(self.bag.items.pop(ready[which % len(ready)]))

    @precondition(lambda self: self.bag.deliverable())
    @rule(which=st.integers(0, 10_000))
    def duplicate(self, which: int) -> None:
        ready = self.bag.deliverable()
        item = self.bag.items[ready[which % len(ready)]]
        if item.why is None:
            self.bag.items.append(item)

    @precondition(lambda self: self.bag.items)
    @rule(share=st.integers(1, 10), which=st.integers(0, 10_000))
    def drop_some(self, share: int, which: int) -> None:
        dice = random.Random(which)
        self.bag.items = [
            item for item in self.bag.items if item.why is not None or dice.random() * 10 > share
        ]

    @rule(which=st.integers(0, 10_000))
    def reorder(self, which: int) -> None:
        random.Random(which).shuffle(self.bag.items)

    @rule()
    def deliver_all(self) -> None:
        self.bag.deliver_all()

    # --- time

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.6, 1.3, 4.0]))
    def only_time_passes(self, seconds: float) -> None:
        """Nothing is delivered meanwhile, and who is due wakes late."""
        self.bag.now += seconds
        self.bag.tick()

    @rule(seconds=st.sampled_from([0.2, 1.0, 3.0, 8.0]))
    def time_passes(self, seconds: float) -> None:
        self.bag.pass_time(seconds)

    # --- processes

    @rule(index=st.integers(0, 20))
    def kill(self, index: int) -> None:
        process = self.running(index)
        if process is not None and sum(one.up for one in self.bag.processes) > 2:
            self.bag.kill(process)

    @rule(index=st.integers(0, 20))
    def restart(self, index: int) -> None:
        process = self.bag.processes[index % len(self.bag.processes)]
        taken = {one.name for one in self.bag.processes if one.up}
        if process.name not in taken:
            self.bag.start(process.name)

    @rule(index=st.integers(0, 20))
    def stall(self, index: int) -> None:
        process = self.running(index)
        if process is not None:
            process.stalled = True

    @rule(index=st.integers(0, 20))
    def resume(self, index: int) -> None:
        self.bag.processes[index % len(self.bag.processes)].stalled = False

    # --- users

    @rule(index=st.integers(0, 20), key=st.sampled_from("abc"), value=st.binary(max_size=3))
    def write(self, index: int, key: str, value: bytes) -> None:
        self._write(index, key, value)

    @rule(index=st.integers(0, 20), key=st.sampled_from("abc"))
    def delete(self, index: int, key: str) -> None:
        self._write(index, key, None)

    def _write(self, index: int, key: str, value: bytes | None) -> None:
        process = self.running(index)
        if process is not None:
            written = process.node.write("s", key, value, ANY, self.bag.now)
            self.written.setdefault(key, {})[written] = value
            self.bag.after(process)

    @rule(index=st.integers(0, 20), zone=st.sampled_from(["", "a", "b"]))
    def set_tags(self, index: int, zone: str) -> None:
        process = self.running(index)
        if process is not None:
            process.node.set_tags({"zone": zone}, self.bag.now)
            self.bag.after(process)

    # --- the end

    def teardown(self) -> None:
        bag = self.bag
        for process in bag.processes:
            process.stalled = False
        living = [process for process in bag.processes if process.up]
        held = {
            key: max(version(entry) for entry in entries)
            for key in self.written
            if (entries := [e for p in living for e in p.node.map.all() if e.key == key])
        }
        uids = {process.uid for process in living}
        end = bag.now + QUIET
        while bag.now < end and not (
            all(one.node.members.table.living == uids for one in living)
            and len({one.node.map.digest.total for one in living}) == 1
        ):
            bag.pass_time(1)
        for process in living:
            assert process.node.members.table.living == uids
            final = {entry.key: entry for entry in process.node.map.all()}
            for key, newest in held.items():
                assert version(final[key]) >= newest  # a later one was still under way
                assert final[key].value == self.written[key][version(final[key])]
        assert len({process.node.map.digest.total for process in living}) == 1


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
