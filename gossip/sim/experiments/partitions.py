"""G12 and G13: networks that lose one way, and partitions that heal."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from meshcache.gossip.core.events import Event, MemberFailed, MemberJoined, MemberSuspect
from meshcache.gossip.sim.experiments.start import acquainted
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process

ON, OFF = 20.0, 20.0
FIVE_MINUTES = 300.0


@dataclass
class OneWay:
    """What the healthy members made of some that lose one direction."""

    removed: float
    """Seconds until each of them was failed at all healthy members for the first time."""
    reentries: int
    """The most returns of one of them within five minutes."""
    suspected: int
    """(healthy observer, healthy subject) that became suspect."""
    failed: int
    """... failed."""


@dataclass
class _Observed:
    network: Network
    bad: set[str]
    healthy: int
    first: dict[str, dict[bytes, float]] = field(default_factory=dict)
    returns: dict[str, list[float]] = field(default_factory=dict)
    others: Counter[type] = field(default_factory=Counter)
    back: dict[str, int] = field(default_factory=dict)

    def listen(self, process: Process, event: Event) -> None:
        if process.uid.hex() in self.bad:
            return
        if isinstance(event, MemberFailed | MemberSuspect) and event.member.uid not in self.bad:
            self.others[type(event)] += 1
        elif isinstance(event, MemberFailed):
            seen = self.first.setdefault(event.member.uid, {})
            seen.setdefault(process.uid, self.network.now)
        elif isinstance(event, MemberJoined):
            uid, incarnation = event.member.uid, event.member.incarnation
            if incarnation > self.back.get(uid, 0):  # once, not once at each observer
                self.back[uid] = incarnation
                self.returns.setdefault(uid, []).append(self.network.now)

    def removed(self) -> float:
        if len(self.first) < len(self.bad) or any(
            len(seen) < self.healthy for seen in self.first.values()
        ):
            return float("inf")
        return max(max(seen.values()) for seen in self.first.values())

    def most_returns(self) -> int:
        return max(
            (
                sum(begin <= at < begin + FIVE_MINUTES for at in returns)
                for returns in self.returns.values()
                for begin in returns
            ),
            default=0,
        )


def one_way(members: int, seed: int, *, egress: bool, total: float = 400.0) -> Iterator[OneWay]:
    """One member in a hundred loses all that comes to it, 20 s on and 20 s off; or (`egress`) four
    fifths of what it sends, all the time."""
    network, processes = acquainted(members, seed, settle=5)
    chosen = network.random.sample(processes, max(1, members // 100))
    addresses = {process.address for process in chosen}
    seen = _Observed(network, {one.uid.hex() for one in chosen}, members - len(chosen))
    network.on_event.append(seen.listen)
    began = network.now

    if egress:
        network.faults.losses.append((lambda source, target: source in addresses, 0.8))
        network.run(total)
    else:

        def deaf(source: str, target: str) -> bool:
            return target in addresses

        while network.now < began + total:
            network.faults.cuts.append(deaf)
            network.run(ON)
            network.faults.cuts.remove(deaf)
            network.run(OFF)
    yield OneWay(
        seen.removed() - began,
        seen.most_returns(),
        seen.others[MemberSuspect],
        seen.others[MemberFailed],
    )


@dataclass(frozen=True)
class Heal:
    """A cut that ended."""

    healed: float
    """Seconds from its end until all see all alive."""


def halves(members: int, seed: int) -> Iterator[Heal]:
    """Half of the members cut off the rest for a minute."""
    yield _heal(members, seed, apart=members // 2)


def one_off(members: int, seed: int) -> Iterator[Heal]:
    """One member cut off the rest for a minute."""
    yield _heal(members, seed, apart=1)


def _heal(members: int, seed: int, *, apart: int, cut: float = 60.0) -> Heal:
    network, processes = acquainted(members, seed, settle=5)
    network.random.shuffle(processes)
    far = {process.address for process in processes[:apart]}

    def between(source: str, target: str) -> bool:
        return (source in far) != (target in far)

    network.faults.cuts.append(between)
    network.run(cut)
    network.faults.cuts.remove(between)
    healed = network.now

    def agreed() -> bool:
        return all(len(one.node.members.table.living) == members for one in processes) and not any(
            case.suspect
            for one in processes
            for case in one.node.members.detection.verdicts.cases.values()
        )

    network.run_until(agreed, healed + 300)
    return Heal(network.now - healed)
