"""A mesh to begin with."""

from collections.abc import Sequence

from meshcache.gossip.core.settings import LAN, Settings
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process


def acquainted(
    members: int,
    seed: int,
    *,
    settings: Settings = LAN,
    loss: float = 0.0,
    settle: float = 15.0,
    tags: Sequence[dict[str, str]] = (),
) -> tuple[Network, list[Process]]:
    """A mesh at rest in which everybody knows everybody, without the work of joining; `tags` of the
    first ones."""
    network = Network(seed, loss=loss, keep_events=False)
    own = [*tags, *({} for _ in range(members - len(tags)))]
    processes = [
        network.start(f"n{index}", settings=settings, tags=own[index]) for index in range(members)
    ]
    network.acquaint(processes)
    network.run(settle)
    return network, processes
