"""What this project makes: a mesh with its caches in memory, and a mount on each node."""

import asyncio
import shutil
from pathlib import Path
from typing import Self

from benchmarks.datapath.origin import Origin
from benchmarks.datapath.subjects.base import Subject
from benchmarks.datapath.trees import Tree
from benchmarks.mesh import Mesh
from meshcache import __version__


class Meshcache(Subject):
    """One node of a mesh, with an agent and a mount, new ones each time."""

    name = "meshcache"
    settings = "as it is; --cache-dir in tmpfs"

    def __init__(
        self,
        folder: Path,
        origin: Origin,
        tree: Tree,
        source: Path,
        room: int,
        *,
        of: int = 1,
        number: int = 0,
        mesh: Mesh | None = None,
    ) -> None:
        """The node of this `number` of a mesh `of` so many; the first one starts and ends it."""
        super().__init__(folder, origin, tree, source, room)
        self._number = number
        self._mesh = mesh or Mesh(folder, [f"n{each}" for each in range(of)], room)
        self._node = self._mesh.nodes[number]
        self.root, self.store = self._node.mountpoint, self._node.folder / "cache"

    @classmethod
    def several(
        cls, count: int, folder: Path, origin: Origin, tree: Tree, source: Path, room: int
    ) -> list[Self]:
        """The nodes of one mesh."""
        first = cls(folder, origin, tree, source, room, of=count)
        more = [
            cls(folder, origin, tree, source, room, number=number, mesh=first._mesh)
            for number in range(1, count)
        ]
        return [first, *more]

    @classmethod
    async def version(cls) -> str:
        """Of this tree."""
        return __version__

    async def mount(self, endpoint: str) -> None:
        """Start the mesh and name the dataset, or find that done; mount it."""
        if self._number == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            for node in self._mesh.nodes:
                node.folder.mkdir(exist_ok=True)
            await self._mesh.start()
            await self._node.create(self.tree.name, self.origin.server, endpoint)
        await self._node.mount(self.tree.name)

    async def unmount(self) -> None:
        """Unmount, and end the mesh."""
        if self._number == 0:
            await self._mesh.stop()

    async def forget(self) -> None:
        """Have the next agent start with nothing at all."""
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
