"""The parts of a running agent, put together once and handed to whoever serves them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from meshcache.agent.catalog import Catalog, Freshness, Refreshes
from meshcache.agent.config import AgentConfig
from meshcache.agent.held.holdings import Holdings
from meshcache.agent.loads.loads import Loads
from meshcache.agent.mesh import MeshView
from meshcache.agent.mesh.membership import Membership
from meshcache.agent.mesh.monitor import Monitor
from meshcache.agent.mesh.peers import PeerClient
from meshcache.agent.mounts import Mounts
from meshcache.agent.origins import Origins
from meshcache.agent.snapshots import Snapshots
from meshcache.agent.trust.auth import Keys, Verifier
from meshcache.fanout import Fanout
from meshcache.gossip import Gossip
from meshcache.prefetch import Prefetcher
from meshcache.reader import Reader
from meshcache.store import Store


@dataclass
class Served:
    """What this member gives to its peers."""

    under_way: int = 0
    """Blocks being sent now."""
    blocks: int = 0
    bytes: int = 0
    sent_on: int = 0
    """Askers that were sent to another member, which has a block from here."""

    @contextmanager
    def sending(self, length: int) -> Iterator[None]:
        """Count one block while it is sent, and its bytes when it was."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
        self.blocks += 1
        self.bytes += length


@dataclass(kw_only=True)
class Node:
    """One agent, as its HTTP routes and its metrics see it."""

    config: AgentConfig
    name: str
    address: str
    """host:port by which others reach its HTTP server."""
    keys: Keys
    verifier: Verifier
    store: Store
    membership: Membership
    gossip: Gossip
    monitor: Monitor
    mesh: MeshView
    client: PeerClient
    reader: Reader
    prefetcher: Prefetcher
    snapshots: Snapshots
    origins: Origins
    catalog: Catalog
    refreshes: Refreshes
    freshness: Freshness
    loads: Loads
    mounts: Mounts
    holdings: Holdings
    fanout: Fanout
    served: Served = field(default_factory=Served)
    started: float = field(default_factory=time.time)
    """Seconds since 1970."""
    ready: bool = False
    """Whether the agent serves: from its ready line until it leaves."""


NODE: web.AppKey[Node] = web.AppKey("node", Node)
