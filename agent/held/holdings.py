"""What the mesh holds of its datasets, as one agent tells it and hears it."""

import asyncio
from collections.abc import MutableMapping

from meshcache.agent.catalog import DATASETS, HEADS, Catalog
from meshcache.agent.held.census import Census
from meshcache.agent.held.publisher import Publisher
from meshcache.agent.held.samples import Samples
from meshcache.agent.held.summary import HELD
from meshcache.agent.mesh import MeshView
from meshcache.agent.mesh.peers import PeerClient
from meshcache.agent.snapshots import Snapshots
from meshcache.gossip import Event, Gossip, MapChanged
from meshcache.store import Store
from meshcache.tasks import TaskSet
from meshcache.traffic import Traffic


class Holdings:
    """The samples, the census and the publisher, put together and kept up by gossip's events."""

    def __init__(
        self,
        *,
        gossip: Gossip,
        mesh: MeshView,
        catalog: Catalog,
        snapshots: Snapshots,
        store: Store,
        client: PeerClient,
        traffic: MutableMapping[str, Traffic],
        tasks: TaskSet,
        guest_of: str,
    ) -> None:
        """`traffic` is the reader's, by dataset's name; `guest_of` is the one dataset that this
        member has a guest's key for, empty: it has the mesh key."""
        self._gossip = gossip
        self._tasks = tasks
        self._following = False
        self.samples = Samples(
            catalog=catalog,
            snapshots=snapshots,
            store=store,
            mesh=mesh,
            client=client,
            tasks=tasks,
            on_new=lambda: self._publisher.wake(),
            only=guest_of,
        )
        self.census = Census(lambda: mesh.by_store, self.samples.get)
        self._publisher = Publisher(
            store=store,
            gossip=gossip,
            mesh=mesh,
            catalog=catalog,
            samples=self.samples,
            census=self.census,
            traffic=traffic,
        )

    def start(self) -> None:
        """Begin, with what the map has already."""
        for key, entry in self._gossip.map.items(HELD):
            self.census.take(key, entry.value)
        self._follow()
        self._tasks.start(self._publisher.run(), name="publish what is held")

    def on_event(self, event: Event) -> None:
        """Take what gossip tells; after `mesh` has."""
        if not isinstance(event, MapChanged):
            self.census.members_changed()
        elif event.namespace == HELD:
            entry = self._gossip.map.get(HELD, event.key)
            page = self.census.take(event.key, entry.value if entry else None)
            self._publisher.overwritten(event.key, page)
        elif event.namespace in (DATASETS, HEADS) and not self._following:
            # Many records come at once when a member joins.
            self._following = True
            asyncio.get_running_loop().call_soon(self._follow)

    def _follow(self) -> None:
        self._following = False
        self.samples.follow()
        self._publisher.wake()
