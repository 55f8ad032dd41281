"""A small language for runs: what happens, when, and what must be true then.

One step a line, `#` begins a comment. Members are named n0, n1...; `n0..n9` is a range, names may
be joined with commas, `all` is every living process.

    members 20              start so many (the first is the seed of all) and wait until all agree
    join 5                  start so many more
    zone n0..n9 west        they say from now on that they are in this zone
    wait 3s                 let time pass
    kill n3                 SIGKILL: connections are closed, new ones refused
    off n4                  the host dies without a word
    restart n3              a new process with the name and address of a dead one
    leave n5                a graceful leave
    stall n1..n4 for 5s     stands still, timers too;   `stall n1 for 5s timers` only its network
    cut n0..n9 from n10..n19 as west     two-way silence, under a name
    cut n1 to n2,n3 as oneway            one way only
    cut all to n5 as deaf for 20s of 40s         on for 20 s, off for 20 s, and so on
    lose 80% from n3 to all as faint     so many segments, that way only
    heal west               ends a cut or a loss
    latency 5..80ms         from now on a segment takes so long one way
    duplicate 5%            from now on so many frames come twice, the second time late
    reorder 5%              ... leave their place in the order
    clocks within 60s       the wall clocks of those started from now on are wrong by up to this
    churn 30 a minute for 60s    members are killed, new ones get their names and addresses, mixed
    put n1 key value        a write to the map;     `delete n1 key`
    event n2 hello
    expect all agree within 5s           all living processes see exactly each other alive
    expect n0..n9 agree within 20s
    expect n0,n1 see n3 failed within 1s
    expect same map within 10s
    expect nobody failed                 since the last `mark` (or the start)
    mark
"""

import re
from collections.abc import Callable
from functools import partial

from meshcache.gossip.core.events import MemberFailed
from meshcache.gossip.core.settings import LAN, Settings
from meshcache.gossip.core.statemap import ANY
from meshcache.gossip.errors import GossipError
from meshcache.gossip.sim.checkers import Checkers
from meshcache.gossip.sim.faults import Between
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process


class ScenarioFailed(GossipError):
    """Raised when an expectation was not met in its time; says line, step and virtual time."""


class ScenarioInvalid(GossipError):
    """Raised when a line cannot be read."""


class Scenario:
    """One run of a scenario."""

    def __init__(
        self,
        text: str,
        *,
        seed: int = 0,
        loss: float = 0.0,
        settings: Settings = LAN,
        latency: tuple[float, float] = (0.0002, 0.001),
    ) -> None:
        """Read the steps; nothing runs yet."""
        self.network = Network(seed, loss=loss, latency=latency)
        self.checkers = Checkers(self.network)
        self._settings = settings
        self._by_name: dict[str, Process] = {}
        self._heals: dict[str, Callable[[], None]] = {}
        self._started = 0
        self._marked = 0.0
        self._said = 0
        self._lines = [
            (number, line.split("#")[0].strip()) for number, line in enumerate(text.split("\n"), 1)
        ]

    def run(self) -> "Scenario":
        """Run all steps.

        Raises:
            ScenarioFailed: an expectation was not met.
            ScenarioInvalid: a line cannot be read.
            Unsafe: a safety rule was broken on the way.
        """
        for number, line in self._lines:
            if not line:
                continue
            for pattern, step in _STEPS:
                match = re.fullmatch(pattern, line)
                if match:
                    try:
                        step(self, *match.groups())
                    except ScenarioFailed as error:
                        at = f"{self.network.now:.2f} s"
                        raise ScenarioFailed(f"line {number}, `{line}`, at {at}: {error}") from None
                    break
            else:
                raise ScenarioInvalid(f"line {number}: no such step: {line!r}")
        return self

    @property
    def living(self) -> list[Process]:
        """The processes that run, by name."""
        return [one for one in self._by_name.values() if one.up]

    def _named(self, names: str) -> list[Process]:
        if names == "all":
            return self.living
        found: list[Process] = []
        for part in names.split(","):
            first, _, last = part.strip().partition("..")
            low = int(first[1:])
            high = int(last[1:]) if last else low
            for number in range(low, high + 1):
                if f"n{number}" not in self._by_name:
                    raise ScenarioInvalid(f"no member n{number} was started")
                found.append(self._by_name[f"n{number}"])
        return found

    def _start(self, count: str) -> None:
        for _ in range(int(count)):
            name = f"n{self._started}"
            self._started += 1
            self._by_name[name] = self.network.start(
                name, seeds=["n0:1", "n1:1"], settings=self._settings
            )

    def _members(self, count: str) -> None:
        self._start(count)
        self._agree("all", "60")
        self.network.run(3)

    def _zone(self, names: str, zone: str) -> None:
        for process in self._named(names):
            self.network.act(process, partial(process.node.set_tags, {"zone": zone}))

    def _wait(self, seconds: str) -> None:
        self.network.run(float(seconds))

    def _each(self, names: str, act: Callable[[Process], None]) -> None:
        for process in self._named(names):
            act(process)

    def _kill(self, names: str) -> None:
        self._each(names, self.network.kill)

    def _off(self, names: str) -> None:
        self._each(names, self.network.switch_off)

    def _restart(self, names: str) -> None:
        for old in self._named(names):
            self._by_name[old.name] = self.network.start(
                old.name, address=old.address, seeds=["n0:1", "n1:1"], settings=self._settings
            )

    def _leave(self, names: str) -> None:
        for process in self._named(names):
            self.network.act(process, process.node.leave)
            self.network.after(0.5, self.network.kill, process)
        self.network.run(0.5)

    def _stall(self, names: str, seconds: str, timers: str | None) -> None:
        for process in self._named(names):
            self.network.stall(process, timers_run=bool(timers))
            self.network.after(float(seconds), self.network.resume, process)
        self.network.run(float(seconds))

    def _between(self, ones: str, others: str, *, both: bool) -> Between:
        left = {process.address for process in self._named(ones)}
        right = {process.address for process in self._named(others)}
        return lambda source, target: (
            (source in left and target in right) or (both and source in right and target in left)
        )

    def _cut(
        self, ones: str, way: str, others: str, name: str, on: str | None, period: str | None
    ) -> None:
        lost, began = self._between(ones, others, both=way == "from"), self.network.now
        on_for, every = float(on or 1), float(period or 1)

        def cut(source: str, target: str) -> bool:
            return (self.network.now - began) % every < on_for and lost(source, target)

        self.network.faults.cuts.append(cut)
        self._heals[name] = lambda: self.network.faults.cuts.remove(cut)

    def _lose(self, share: str, ones: str, others: str, name: str) -> None:
        loss = self._between(ones, others, both=False), float(share) / 100
        self.network.faults.losses.append(loss)
        self._heals[name] = lambda: self.network.faults.losses.remove(loss)

    def _heal(self, name: str) -> None:
        self._heals.pop(name)()

    def _latency(self, least: str, most: str) -> None:
        self.network.tcp.set_latency(float(least) / 1000, float(most) / 1000)

    def _duplicate(self, share: str) -> None:
        self.network.faults.duplicated = float(share) / 100

    def _reorder(self, share: str) -> None:
        self.network.faults.reordered = float(share) / 100

    def _clocks(self, seconds: str) -> None:
        self.network.skew = float(seconds)

    def _churn(self, each_minute: str, seconds: str) -> None:
        """As serverless pods come: under a name and at an address that others had before."""
        ends, free = self.network.now + float(seconds), list[tuple[str, str]]()
        while self.network.now < ends:
            old = self.network.random.choice(
                [one for one in self.living if one.name not in ("n0", "n1")]
            )
            self.network.kill(old)
            free.append((old.name, old.address))
            if len(free) > 1:  # the name of the first that waits, the address of the last
                (name, own), (other, address) = free[0], free[-1]
                free[:] = [(other, own), *free[1:-1]]
                self._by_name[name] = self.network.start(
                    name, address=address, seeds=["n0:1", "n1:1"], settings=self._settings
                )
            self.network.run(60 / float(each_minute))
        for name, address in free:
            self._by_name[name] = self.network.start(
                name, address=address, seeds=["n0:1", "n1:1"], settings=self._settings
            )

    def _put(self, name: str, key: str, value: str | None) -> None:
        process = self._named(name)[0]
        data = value.encode() if value is not None else None
        self.network.act(process, lambda now: process.node.write("sim", key, data, ANY, now))

    def _delete(self, name: str, key: str) -> None:
        self._put(name, key, None)

    def _event(self, name: str, what: str) -> None:
        process = self._named(name)[0]
        self._said += 1  # no two are alike: one that comes twice is noticed
        payload = str(self._said).encode()
        self.network.act(process, lambda now: process.node.say(what, payload, now))

    def _expect(self, condition: Callable[[], bool], seconds: str, otherwise: str) -> None:
        if not self.network.run_until(condition, self.network.now + float(seconds)):
            raise ScenarioFailed(otherwise)

    def _agree(self, names: str, seconds: str) -> None:
        processes = self._named(names)
        uids = {process.uid for process in processes}
        self._expect(
            lambda: all(one.node.members.table.living == uids for one in processes),
            seconds,
            "they do not see exactly each other alive",
        )

    def _see(self, names: str, whom: str, state: str, seconds: str) -> None:
        subjects = self._named(whom)
        self._expect(
            lambda: all(
                one.node.members.view(subject.uid).state == state
                for one in self._named(names)
                for subject in subjects
            ),
            seconds,
            f"not all see {whom} {state}",
        )

    def _same_map(self, seconds: str) -> None:
        self._expect(
            lambda: len({one.node.map.digest.total for one in self.living}) == 1,
            seconds,
            "the maps differ",
        )

    def _nobody_failed(self) -> None:
        for process in self.network.processes:
            for when, event in process.events:
                if when >= self._marked and isinstance(event, MemberFailed):
                    raise ScenarioFailed(f"{process.name} held {event.member.name} failed")

    def _mark(self) -> None:
        self._marked = self.network.now


_WHO, _TIME, _SHARE = r"([\w.,]+)", r"([\d.]+)s", r"([\d.]+)%"
_STEPS: list[tuple[str, Callable[..., None]]] = [
    (r"members (\d+)", Scenario._members),
    (r"join (\d+)", Scenario._start),
    (rf"zone {_WHO} (\S+)", Scenario._zone),
    (rf"wait {_TIME}", Scenario._wait),
    (rf"kill {_WHO}", Scenario._kill),
    (rf"off {_WHO}", Scenario._off),
    (rf"restart {_WHO}", Scenario._restart),
    (rf"leave {_WHO}", Scenario._leave),
    (rf"stall {_WHO} for {_TIME}( timers)?", Scenario._stall),
    (rf"cut {_WHO} (from|to) {_WHO} as (\w+)(?: for {_TIME} of {_TIME})?", Scenario._cut),
    (rf"lose {_SHARE} from {_WHO} to {_WHO} as (\w+)", Scenario._lose),
    (r"latency ([\d.]+)\.\.([\d.]+)ms", Scenario._latency),
    (rf"duplicate {_SHARE}", Scenario._duplicate),
    (rf"reorder {_SHARE}", Scenario._reorder),
    (rf"clocks within {_TIME}", Scenario._clocks),
    (rf"churn (\d+) a minute for {_TIME}", Scenario._churn),
    (r"heal (\w+)", Scenario._heal),
    (rf"put {_WHO} (\S+) (\S+)", Scenario._put),
    (rf"delete {_WHO} (\S+)", Scenario._delete),
    (rf"event {_WHO} (\S+)", Scenario._event),
    (rf"expect {_WHO} agree within {_TIME}", Scenario._agree),
    (
        rf"expect {_WHO} see {_WHO} (alive|suspect|failed|left) within {_TIME}",
        Scenario._see,
    ),
    (rf"expect same map within {_TIME}", Scenario._same_map),
    (r"expect nobody failed", Scenario._nobody_failed),
    (r"mark", Scenario._mark),
]
