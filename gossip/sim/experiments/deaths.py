"""G1 to G3: a member dies; when do all know?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from meshcache.gossip.core.events import Event, MemberFailed, MemberSuspect
from meshcache.gossip.sim.experiments.start import acquainted
from meshcache.gossip.sim.memberlist.mesh import Memberlist
from meshcache.gossip.sim.memberlist.settings import MemberlistSettings
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process

LIMIT = 60.0


@dataclass(frozen=True)
class Death:
    """When a death was known, in seconds after it."""

    suspect_all: float
    failed_first: float
    failed_all: float


def _known(network: Network, processes: Sequence[Process], victim: Process, began: float) -> Death:
    uid = victim.uid.hex()
    suspect: dict[bytes, float] = {}
    failed: dict[bytes, float] = {}
    counted = {process.uid for process in processes}

    def listen(process: Process, event: Event) -> None:
        if not isinstance(event, MemberSuspect | MemberFailed):
            return
        if process.uid in counted and event.member.uid == uid:
            suspect.setdefault(process.uid, network.now)
            if isinstance(event, MemberFailed):
                failed.setdefault(process.uid, network.now)

    network.on_event.append(listen)
    network.run_until(lambda: len(failed) == len(processes), began + LIMIT)
    network.on_event.remove(listen)
    if len(failed) < len(processes):
        return Death(LIMIT, LIMIT, LIMIT)
    return Death(
        max(suspect.values()) - began, min(failed.values()) - began, max(failed.values()) - began
    )


def kills(members: int) -> int:
    """How many die in one mesh: no more than a tenth of it."""
    return min(10, max(1, members // 10))


def deaths(members: int, seed: int, *, silent: bool) -> Iterator[Death]:
    """Members die one after another in one mesh, each replaced by nobody: their processes are
    killed, or (`silent`) their hosts switched off."""
    network, processes = acquainted(members, seed)
    for _ in range(kills(members)):
        network.run(2 + network.random.random())
        victim = processes.pop(network.random.randrange(len(processes)))
        began = network.now
        (network.switch_off if silent else network.kill)(victim)
        yield _known(network, processes, victim, began)


def memberlist_deaths(members: int, seed: int, meshes: int | None = None) -> Iterator[Death]:
    """One member dies in each of so many fresh meshes (as many as `deaths` gives)."""
    for run in range(meshes or kills(members)):
        mesh = Memberlist(members, MemberlistSettings(), 1000 * seed + run)
        mesh.run(3 + mesh.random.random())
        died = mesh.now
        mesh.members[0].up = False
        while mesh.now < died + 200:
            mesh.run(1)
            dead = {n.observer for n in mesh.log if n.what == "dead" and n.about == 0}
            if len(dead) >= members - 1:
                break
        suspected = [note.when for note in mesh.log if note.what == "suspect" and note.about == 0]
        when = [note.when for note in mesh.log if note.what == "dead" and note.about == 0]
        yield Death(max(suspected) - died, min(when) - died, max(when) - died)
