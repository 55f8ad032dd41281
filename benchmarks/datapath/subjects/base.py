"""What the harness asks of a system under measurement, and what mounts of other programs share."""

import asyncio
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from benchmarks.datapath.origin import Origin
from benchmarks.datapath.trees import Tree
from benchmarks.janitor import processes_naming
from benchmarks.mesh import CommandFailed, guarded, run
from benchmarks.usage import descendants
from meshcache.errors import EnvironmentUnfit
from meshcache.fuse import mountinfo

MOUNT_WITHIN = 60.0
_UMOUNT_WITHIN = 20.0


class Subject(ABC):
    """One system that shows one tree as a directory.

    Everything that it starts names its folder on the command line, and so do its processes.
    """

    name: ClassVar[str]
    settings: ClassVar[str] = ""
    """What it is run with, in words, for whoever reads the figures."""
    caches: ClassVar[bool] = True
    """Whether it reads the origin, and so can be cold."""
    through_s3: ClassVar[bool] = True
    """Whether it reads by S3, and so can be sent through the cap."""

    def __init__(self, folder: Path, origin: Origin, tree: Tree, source: Path, room: int) -> None:
        """Prepare.

        Args:
            folder: its own, in memory; need not be there.
            origin: has the tree in a bucket of the tree's name.
            tree: what to show.
            source: the folder that the tree was made in.
            room: bytes that its cache may take; more than the tree has.
        """
        self.folder, self.origin, self.tree, self.source = folder, origin, tree, source
        self.room = room
        self.root = folder / "mnt"
        """Where the tree is seen once mounted."""
        self.store = folder / "store"
        """Where it keeps what it has read."""

    @classmethod
    def several(cls, count: int, folder: Path, *more: Any) -> list[Self]:
        """So many of it, as on so many nodes; `more` as the constructor takes it."""
        return [cls(folder / f"{number}", *more) for number in range(count)]

    @classmethod
    @abstractmethod
    async def version(cls) -> str:
        """As it names itself. EnvironmentUnfit if it is not installed."""

    async def prepare(self) -> None:  # noqa: B027 - most need nothing
        """What is done once for a tree, untimed."""

    @abstractmethod
    async def mount(self, endpoint: str) -> None:
        """Show the tree, reading from this endpoint; returns when it is there."""

    async def unmount(self) -> None:
        """End all that `mount` started. Idempotent."""
        await unmount(self.root)

    async def forget(self) -> None:
        """Drop all that was cached; it is not mounted."""
        await asyncio.to_thread(shutil.rmtree, self.store, ignore_errors=True)

    async def remove(self) -> None:
        """Leave nothing behind."""
        await self.unmount()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def processes(self) -> set[int]:
        """All of its processes."""
        return descendants(processes_naming(self.folder))

    def bdi(self) -> Path | None:
        """The kernel's readahead setting of its mount; None if it is not one of its own."""
        mounted = mountinfo.mount_at(self.root)
        return Path("/sys/class/bdi", mounted.bdi, "read_ahead_kb") if mounted else None


async def unmount(place: Path) -> None:
    """Unmount whatever is there, at last behind the back of its users."""
    for command in (["umount", str(place)], ["umount", "-l", str(place)]):
        if mountinfo.mount_at(place) is None:
            return
        try:
            await run(*command, within=_UMOUNT_WITHIN)
        except CommandFailed:
            await asyncio.sleep(0.2)


async def first_line(*command: str) -> str:
    """The first line that a program says of itself.

    Raises:
        EnvironmentUnfit: it is not installed.
    """
    if shutil.which(command[0]) is None:
        raise EnvironmentUnfit(f"{command[0]} is not installed: run `make bench`, which does that")
    return (await run(*command)).splitlines()[0].strip()


class Program(Subject):
    """A program that stays in the foreground for as long as its mount does."""

    _process: asyncio.subprocess.Process | None = None

    @abstractmethod
    def command(self, endpoint: str) -> Sequence[str]:
        """The program and its words."""

    def environment(self) -> dict[str, str] | None:
        """Its variables; None for those of this process."""
        return None

    async def mount(self, endpoint: str) -> None:
        """Start it and wait for the mount."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.store.mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *guarded(*self.command(endpoint)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(MOUNT_WITHIN):
                while not await self._is_there():
                    if self._process.returncode is not None:
                        raise EnvironmentUnfit(f"{self.name} ended: {self._said()}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise EnvironmentUnfit(f"{self.name} did not mount: {self._said()}") from None

    async def _is_there(self) -> bool:
        """Mounted, and its names are seen."""
        if mountinfo.mount_at(self.root) is None:
            return False
        return await asyncio.to_thread(lambda: next(self.root.iterdir(), None)) is not None

    def _said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-400:]

    async def unmount(self) -> None:
        """Unmount and wait for its end."""
        await super().unmount()
        process, self._process = self._process, None
        if process is None:
            return
        try:
            await asyncio.wait_for(process.wait(), _UMOUNT_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()
