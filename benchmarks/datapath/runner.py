"""The run: tree by tree, round by round, the subjects in turn."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks.datapath.cells import Cell, State
from benchmarks.datapath.jobs import Job
from benchmarks.datapath.origin import Origin
from benchmarks.datapath.results import Sample
from benchmarks.datapath.sampling import Cost, do, drop_caches
from benchmarks.datapath.subjects.base import Subject
from benchmarks.datapath.trees import Scale, Tree, files_of
from benchmarks.mesh import CommandFailed
from benchmarks.usage import stored
from meshcache.errors import EnvironmentUnfit
from meshcache.units import MIB

_ROOM = 2.5
"""Times the tree's bytes that each cache may take."""
_WARM_WITHIN = 120.0
"""Seconds for a subject to read the tree for the first time, untimed."""
_COLD = (State.COLD, State.CAPPED)


class WrongBytes(Exception):
    """A subject shows other bytes than the tree has."""


@dataclasses.dataclass
class Runner:
    """Takes all samples."""

    folder: Path
    """In memory, and the run's own."""
    origin: Origin
    subjects: Sequence[type[Subject]]
    cells: Sequence[Cell]
    scale: Scale
    rounds: int
    say: Callable[[str], None]
    keep: Callable[[Sample], None]
    """Given each sample as it is taken."""

    async def run(self) -> None:
        """All trees of which there are cells."""
        for tree in dict.fromkeys(cell.tree for cell in self.cells):
            cells = [cell for cell in self.cells if cell.tree is tree]
            await _Tree(self, tree, cells).run()


class _Tree:
    """One tree, from making it to forgetting it."""

    def __init__(self, runner: Runner, tree: Tree, cells: Sequence[Cell]) -> None:
        self._runner = runner
        self._tree = tree
        self._cells = cells
        self._source = runner.folder / "source" / tree.name
        self._files: list[str] = []
        self._digest = 0
        self._room = 0
        self._subjects: list[Subject] = []

    async def run(self) -> None:
        runner = self._runner
        runner.say(f"{self._tree.name}: making it, and putting it into the origin")
        await asyncio.to_thread(self._tree.make, self._source, runner.scale)
        self._files = await asyncio.to_thread(files_of, self._source)
        await runner.origin.put(self._tree, self._source)
        self._digest = (await do(self._verifying(self._source))).digest
        self._room = int(_ROOM * await asyncio.to_thread(stored, self._source)) + 256 * MIB
        self._subjects = [self._several(kind, 1)[0] for kind in runner.subjects]
        try:
            for subject in self._subjects:
                await subject.prepare()
            await self._cold([cell for cell in self._cells if cell.state in _COLD])
            await self._fan_out([cell for cell in self._cells if cell.state is State.NODES])
            await self._warm([cell for cell in self._cells if cell.state is State.WARM])
        finally:
            for subject in self._subjects:
                await subject.remove()
        for bucket in (self._tree.name, f"juicefs-{self._tree.name}"):
            with contextlib.suppress(Exception):  # one that is not there
                await runner.origin.remove(bucket)

    def _several(self, kind: type[Subject], count: int) -> list[Subject]:
        folder = self._runner.folder / f"{kind.name.replace(' ', '-')}-{count}"
        return [
            *kind.several(count, folder, self._runner.origin, self._tree, self._source, self._room)
        ]

    # --- cold -------------------------------------------------------------------------------

    async def _cold(self, cells: Sequence[Cell]) -> None:
        origin = self._runner.origin
        for cell in cells:
            capped = cell.state is State.CAPPED
            endpoint = origin.capped if capped else origin.endpoint
            turns = self._turns(cell, self._subjects)
            if not capped:
                await self._ahead(cell, turns[0][1], endpoint)
            for turn, subject in turns:
                async with self._failing(cell, subject, turn):
                    await self._mount_anew(subject, endpoint)
                    await self._sample(cell, [subject], turn)

    async def _ahead(self, cell: Cell, subject: Subject, endpoint: str) -> None:
        """One sample that does not count: as all others, the first that does is then taken where
        another cache has just been. Where the kernel is a guest, the host takes free memory back,
        and to have it again takes seven times as long as to clear it."""
        with contextlib.suppress(CommandFailed, EnvironmentUnfit, OSError):
            await self._mount_anew(subject, endpoint)
            await do(self._job(cell, [subject.root], 0))

    async def _fan_out(self, cells: Sequence[Cell]) -> None:
        for cell in cells:
            for turn, subject in self._turns(cell, self._subjects):
                await subject.unmount()
                nodes = self._several(type(subject), cell.nodes)
                async with self._failing(cell, subject, turn):
                    try:
                        for node in nodes:
                            await node.prepare()
                            await node.mount(self._runner.origin.capped)
                        await self._sample(cell, nodes, turn)
                    finally:
                        for node in nodes:
                            await node.remove()

    # --- warm -------------------------------------------------------------------------------

    async def _warm(self, cells: Sequence[Cell]) -> None:
        if not cells:
            return
        warm = []
        for subject in self._subjects:
            try:
                await self._warm_up(subject)
                warm.append(subject)
            except (CommandFailed, EnvironmentUnfit, OSError) as error:
                for cell in cells:
                    self._failed(cell, subject, 0, error)
        for cell in cells:
            for turn, subject in self._turns(cell, warm):
                async with self._failing(cell, subject, turn):
                    await self._sample(cell, [subject], turn)

    def _job(self, cell: Cell, roots: Sequence[Path], turn: int) -> Job:
        files = [name for name in self._files if name.endswith(cell.suffix)]
        if len(roots) == 1:
            root, streams = roots[0], cell.job.streams
        else:
            root, streams = self._runner.folder, len(roots)
            files = [f"{one.relative_to(root)}/{name}" for name in files for one in roots]
        return msgspec.structs.replace(
            cell.job, root=str(root), files=files, streams=streams, seed=turn + 1
        )

    async def _warm_up(self, subject: Subject) -> None:
        """Read all of the tree once, and see that every byte is right; of one without bytes the
        names and attributes."""
        self._runner.say(f"{self._tree.name}: warming {subject.name}")
        await self._mount_anew(subject, self._runner.origin.endpoint)
        if not self._tree.has_data:
            await do(Job("ls", str(subject.root), seconds=_WARM_WITHIN))
            return
        seen = await do(self._verifying(subject.root))
        if not seen.whole:
            raise CommandFailed(f"not warm in {_WARM_WITHIN:.0f} s")
        if seen.digest != self._digest:
            raise WrongBytes(f"{subject.name} shows other bytes than were put into the origin")

    def _verifying(self, root: Path) -> Job:
        return Job("verify", str(root), self._files, streams=4, seconds=_WARM_WITHIN)

    @staticmethod
    async def _mount_anew(subject: Subject, endpoint: str) -> None:
        """Mount it as if for the first time."""
        await subject.unmount()
        await subject.forget()
        await subject.mount(endpoint)

    # --- samples ----------------------------------------------------------------------------

    def _turns(self, cell: Cell, subjects: Sequence[Subject]) -> list[tuple[int, Subject]]:
        """(round, subject): in each round another one begins."""
        able = [s for s in subjects if cell.takes(caches=s.caches, through_s3=s.through_s3)]
        rounds = max(min(2, self._runner.rounds), round(self._runner.rounds * cell.rounds))
        return [
            (turn, able[(place + turn) % len(able)])
            for turn in range(rounds)
            for place in range(len(able))
        ]

    @contextlib.asynccontextmanager
    async def _failing(self, cell: Cell, subject: Subject, turn: int) -> AsyncIterator[None]:
        """A subject that fails does so in its own line; the others go on."""
        try:
            yield
        except (CommandFailed, EnvironmentUnfit, OSError) as error:
            self._failed(cell, subject, turn, error)

    def _failed(self, cell: Cell, subject: Subject, turn: int, error: Exception) -> None:
        self._runner.say(f"{cell.name}: {subject.name} failed: {error}")
        self._runner.keep(Sample(cell.name, subject.name, turn, error=str(error)))

    async def _sample(self, cell: Cell, nodes: Sequence[Subject], turn: int) -> None:
        """Of one subject, or of several that read the same at the same time, a stream each."""
        subject = nodes[0]
        job = self._job(cell, [node.root for node in nodes], turn)
        drop_caches()
        cost = Cost({pid for node in nodes for pid in node.processes()})
        with _readahead(subject, cell.readahead):
            watching = asyncio.ensure_future(cost.watch())  # noqa: TID251 - ended right below
            try:
                done = await do(job)
            finally:
                watching.cancel()
        cost.look()
        sample = Sample(
            cell=cell.name,
            subject=subject.name,
            turn=turn,
            value=cell.unit.of(done),
            seconds=done.seconds,
            bytes=done.bytes,
            operations=done.operations,
            cpu=cost.cpu,
            reader_cpu=done.cpu,
            memory=cost.memory,
            stored=sum(stored(node.store) for node in nodes if node.caches),
            whole=done.whole,
        )
        self._runner.keep(sample)
        self._runner.say(
            f"{cell.name}: {subject.name} {sample.value:.4g} {cell.unit.name}, "
            f"CPU {sample.cpu:.2f} s, {sample.memory // MIB} MiB"
        )


@contextlib.contextmanager
def _readahead(subject: Subject, kib: int | None) -> "contextlib.Iterator[None]":  # type: ignore[name-defined]
    """Set the readahead of its mount for a while."""
    setting = subject.bdi() if kib is not None else None
    if setting is None:
        yield
        return
    own = setting.read_text()
    setting.write_text(str(kib))
    try:
        yield
    finally:
        setting.write_text(own)
