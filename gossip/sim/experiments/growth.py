"""G11, G14 and G15: many that come at once, members that are replaced, leaves that come and go."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from meshcache.gossip.core.events import Event, MemberJoined, ViewChanged
from meshcache.gossip.core.table import LEAF
from meshcache.gossip.sim.experiments.start import acquainted
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process

LIMIT = 300.0
LOOK = 0.05
"""How often views are looked at while members are replaced: a death is not known for 150 ms."""
LOOKED_AT = 20
MINUTES = 3.0


@dataclass(frozen=True)
class Storm:
    """All start at once with one seed."""

    all_know_all: float
    """Seconds."""
    views: int
    """The most view changes at one member."""
    bytes: float
    """Sent by a member, on average, until then."""


def storm(members: int, seed: int) -> Iterator[Storm]:
    """N-1 members start at the same time and know only the first."""
    network = Network(seed, keep_events=False)
    complete: set[bytes] = set()
    views: Counter[bytes] = Counter()

    def listen(process: Process, event: Event) -> None:
        if isinstance(event, ViewChanged):
            views[process.uid] += 1
        elif len(process.node.members.table.living) == members:
            complete.add(process.uid)

    network.on_event.append(listen)
    processes = [network.start(f"n{index}", seeds=["n0:1"]) for index in range(members)]
    network.run_until(lambda: len(complete) == members, LIMIT)
    took = network.now if len(complete) == members else LIMIT
    network.run(1)
    yield Storm(
        took, max(views.values()), sum(process.bytes_sent for process in processes) / members
    )


@dataclass(frozen=True)
class Churn:
    """Members are replaced all the time, under names and at addresses that were used before."""

    slowest: float
    """Seconds from a start until nine tenths of all knew the new process, at the worst."""
    view_error: float
    """The largest share of a member's view that was wrong (dead ones held alive, living ones
    missing), of those looked at every 50 ms."""
    ghosts: int
    """(observer, dead process) held alive a minute after the last replacement."""
    missing: int
    """(observer, living process) not known alive then."""


def churn(members: int, seed: int) -> Iterator[Churn]:
    """A tenth of the members is replaced in each minute: SIGKILL, and three seconds later a new
    process with the name of one dead and the address of another."""
    network, processes = acquainted(members, seed)
    network.random.shuffle(processes)
    stay = min(LOOKED_AT, members // 10)
    looked_at, rest = processes[:stay], deque(processes[stay:])
    seeds = [process.address for process in looked_at[:3]]
    names: list[str] = []
    addresses: list[str] = []
    started: dict[str, tuple[float, set[bytes]]] = {}
    slowest = 0.0
    worst = 0.0

    def listen(process: Process, event: Event) -> None:
        nonlocal slowest
        if isinstance(event, MemberJoined) and event.member.uid in started:
            since, knowing = started[event.member.uid]
            knowing.add(process.uid)
            if len(knowing) >= 0.9 * members:
                slowest = max(slowest, network.now - since)
                del started[event.member.uid]

    def replace() -> None:
        old = rest.popleft()
        names.append(old.name)
        addresses.append(old.address)
        network.kill(old)
        network.after(3.0, begin)

    def begin() -> None:
        name = names.pop(0)
        address = addresses.pop()  # of the one killed last: rarely its own
        new = network.start(name, address=address, seeds=seeds)
        started[new.uid.hex()] = network.now, set()
        rest.append(new)

    network.on_event.append(listen)
    pause = 600 / members
    ends = network.now + 60 * MINUTES
    while network.now < ends:
        replace()
        until = network.now + pause
        while network.now < until:
            network.run(min(LOOK, until - network.now))
            living = {one.uid for one in network.listening.values()}
            for one in looked_at:
                wrong = len(living ^ set(one.node.members.table.living))
                worst = max(worst, wrong / members)
    network.run(60)
    if started:
        slowest = LIMIT
    living = {one.uid for one in network.listening.values()}
    views = [set(one.node.members.table.living) for one in [*looked_at, *rest]]
    yield Churn(
        slowest,
        worst,
        sum(len(view - living) for view in views),
        sum(len(living - view) for view in views),
    )


@dataclass(frozen=True)
class Leaves:
    """What the full members that serve no leaf send, B/s each."""

    extra: float
    """More than in a mesh with the same seed and no leaves."""
    sent: float


def leaves(
    members: int, seed: int, *, per_second: int = 100, seconds: float = 20.0
) -> Iterator[Leaves]:
    """So many leaves come and so many go in each second, at one host, that of two members."""
    with_leaves, without = (
        _sent_by_others(members, seed, number, seconds) for number in (per_second, 0)
    )
    yield Leaves(with_leaves - without, with_leaves)


def _sent_by_others(members: int, seed: int, per_second: int, seconds: float) -> float:
    network, processes = acquainted(
        members, seed, settle=40, tags=[{"zone": "leaves"}, {"zone": "leaves"}]
    )
    hosts, others = processes[:2], processes[2:]

    def sent() -> int:
        return sum(process.bytes_sent for process in others)

    guests: deque[Process] = deque()
    start, number = sent(), 0
    ends = network.now + seconds
    while network.now < ends:
        network.run(1 / (per_second or 1))
        if not per_second:
            continue
        if len(guests) >= 2 * per_second:
            network.kill(guests.popleft())
        number += 1
        guests.append(
            network.start(
                f"leaf{number}",
                seeds=[host.address for host in hosts],
                role=LEAF,
                tags={"zone": "leaves"},
            )
        )
    return (sent() - start) / seconds / len(others)
