"""What this project makes: a mesh of one, with its cache in memory, and one mount."""

import asyncio
import shutil

from benchmarks.datapath.subjects.base import Subject
from benchmarks.mesh import Mesh
from meshcache import __version__

_NODE = "one"


class Meshcache(Subject):
    """An agent and a mount, new ones each time."""

    name = "meshcache"
    settings = "as it is; one agent, --cache-dir in tmpfs"
    _mesh: Mesh | None = None

    @classmethod
    async def version(cls) -> str:
        """Of this tree."""
        return __version__

    async def mount(self, endpoint: str) -> None:
        """Start the agent, name the dataset, mount it."""
        place = self.folder / _NODE
        place.mkdir(parents=True, exist_ok=True)
        self._mesh = mesh = Mesh(self.folder, [_NODE], self.room)
        (node,) = mesh.nodes
        self.root, self.store = node.mountpoint, node.folder / "cache"
        await mesh.start()
        await node.create(self.tree.name, self.origin.server, endpoint)
        await node.mount(self.tree.name)

    async def unmount(self) -> None:
        """Unmount, and end the agent."""
        mesh, self._mesh = self._mesh, None
        if mesh is not None:
            await mesh.stop()

    async def forget(self) -> None:
        """Have the next agent start with nothing at all."""
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
