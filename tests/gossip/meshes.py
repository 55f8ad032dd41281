"""Meshes in virtual time for tests, and what is asked of them."""

from collections.abc import Callable, Sequence

from meshcache.gossip.core.events import Event, Member, MemberFailed, MemberSuspect, State
from meshcache.gossip.core.settings import LAN, Settings
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process


def mesh(
    members: int,
    *,
    seed: int = 1,
    settings: Settings = LAN,
    loss: float = 0.0,
    settle: float = 3.0,
) -> tuple[Network, list[Process]]:
    """A network of so many members that all know each other, at rest."""
    network = Network(seed, loss=loss)
    processes = [
        network.start(f"n{index}", seeds=["n0:1"], settings=settings) for index in range(members)
    ]
    assert network.run_until(agreed(processes), 60), "the mesh never came together"
    network.run(settle)
    return network, processes


def agreed(processes: Sequence[Process]) -> Callable[[], bool]:
    """Whether each of these holds exactly these alive."""
    uids = {process.uid for process in processes}
    return lambda: all(process.node.members.table.living == uids for process in processes)


def seen(by: Process, whom: Process) -> Member:
    """A member as another sees it."""
    return by.node.members.view(whom.uid)


def state(by: Process, whom: Process) -> State:
    """Its state."""
    return seen(by, whom).state


def all_see(processes: Sequence[Process], whom: Process, *states: State) -> Callable[[], bool]:
    """Whether each of these sees `whom` in one of these states."""
    return lambda: all(state(process, whom) in states for process in processes)


def events(process: Process, kind: type[Event], since: float = 0.0) -> list[Event]:
    """The events of one kind that a process told its user."""
    return [event for when, event in process.events if isinstance(event, kind) and when >= since]


def told_of(
    processes: Sequence[Process], kind: type[MemberSuspect] | type[MemberFailed]
) -> set[str]:
    """The names of the members that any of these was told are suspect, or failed."""
    return {
        event.member.name
        for process in processes
        for _, event in process.events
        if isinstance(event, kind)
    }


def stalled(network: Network, processes: Sequence[Process], seconds: float) -> None:
    """Let so much time pass in which these stand still."""
    for process in processes:
        network.stall(process)
    network.run(seconds)
    for process in processes:
        network.resume(process)


def cut(
    network: Network, side: Sequence[Process], rest: Sequence[Process] | None = None
) -> Callable[[], None]:
    """Cut the links between these and those (without `rest`: all others); the call that heals."""
    left = {process.address for process in side}
    right = None if rest is None else {process.address for process in rest}

    def between(source: str, target: str) -> bool:
        if (source in left) == (target in left):
            return False
        return right is None or source in right or target in right

    network.faults.cuts.append(between)
    return lambda: network.faults.cuts.remove(between)


def others(processes: Sequence[Process], *without: Process) -> list[Process]:
    """All but these."""
    return [process for process in processes if process not in without]


def observers(processes: Sequence[Process], subject: Process) -> list[Process]:
    """Those of these that observe `subject`, by its own view."""
    chosen = subject.node.members.rings.observers(subject.uid)
    return [process for process in processes if process.uid in chosen]
