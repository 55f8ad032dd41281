"""The origins of the datasets this node knows, opened when first read."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from contextlib import asynccontextmanager, suppress

from meshcache.agent.origins.dataset_origin import DatasetOrigin
from meshcache.agent.origins.references import check_references
from meshcache.agent.snapshots import OpenSnapshot
from meshcache.block import FileVersion
from meshcache.dataset import Dataset, Mount, base_name
from meshcache.errors import DatasetNotFound, OriginNotFound, OriginUnreachable
from meshcache.origin import Listed, Origin
from meshcache.origin.base import Arrived, nobody
from meshcache.origin.open import check_mount, open_origin
from meshcache.secrets import SecretSource
from meshcache.wanted import SNAPSHOT_ORIGIN, Wanted


class Origins:
    """One open `Origin` for each mount of each dataset; credentials are resolved here, on this
    node, and nowhere else."""

    def __init__(
        self,
        secrets: SecretSource,
        dataset_of: Callable[[str], Dataset],
        snapshot_origin: Callable[[str], Origin],
        open_dataset: Callable[[str], Awaitable[tuple[Dataset, OpenSnapshot]]],
    ) -> None:
        """`dataset_of` gives the record of a name, `snapshot_origin` what reads its snapshots,
        `open_dataset` the snapshot that it shows."""
        self._secrets = secrets
        self._dataset_of = dataset_of
        self._snapshot_origin = snapshot_origin
        self._open_dataset = open_dataset
        self._open: dict[tuple[str, int], list[Origin]] = {}

    def of(self, dataset: Dataset) -> list[Origin]:
        """The dataset's origins, in the order of its mounts.

        Raises:
            InvalidInput: a URL, an option or a reference to a secret is wrong on this node.
        """
        if _key(dataset) not in self._open:
            self._open[_key(dataset)] = self.open_unkept(dataset)
        return self._open[_key(dataset)]

    def open_unkept(self, dataset: Dataset) -> list[Origin]:
        """The same for a dataset that is not (yet) a record; the caller closes them."""
        for mount in dataset.mounts:
            self._secrets.check_file_origin(mount.url)
        return [Draining(self._open_mount(dataset, mount)) for mount in dataset.mounts]

    def check(self, dataset: Dataset) -> None:
        """Let pass a dataset whose URLs, options and references this node takes. Reads the files
        of the secrets: call it in a thread.

        Raises:
            InvalidInput: one of them is wrong on this node.
        """
        self.open_unkept(dataset)  # nothing of them is started before the first use
        for mount in dataset.mounts:
            check_mount(mount, dataset.options, dataset.secret_options)
            for reference in (dataset.secret_options | mount.secret_options).values():
                self._secrets.resolve(reference)

    def _open_mount(self, dataset: Dataset, mount: Mount) -> Origin:
        if mount.reference is not None:
            return DatasetOrigin(*mount.reference, self._open_listing)
        references = dataset.secret_options | mount.secret_options

        def resolve() -> dict[str, str]:
            return {
                option: self._secrets.resolve(reference) for option, reference in references.items()
            }

        options = dataset.options | mount.options
        return open_origin(mount, options, resolve, pvc_root=self._secrets.pvc_root)

    def for_block(self, wanted: Wanted) -> Origin:
        """The origin that a block can be read from.

        Raises:
            DatasetNotFound: this member does not know the dataset (yet).
            OriginNotFound: the dataset has no such origin.
        """
        identity = wanted.block.file.origin
        if identity == SNAPSHOT_ORIGIN:
            return self._snapshot_origin(wanted.dataset)
        key = wanted.block.file.key
        for dataset in self._with_references(wanted.dataset):
            for origin in self.of(dataset):
                if origin.identity == identity and origin.covers(key):
                    return origin
        raise OriginNotFound(f"dataset {wanted.dataset!r} has no origin {identity} with {key!r}")

    def _with_references(self, name: str) -> Iterator[Dataset]:
        """The dataset, and those that are its origins, and theirs."""
        seen = {name: self._dataset_of(name)}
        names = [name]
        for each in names:  # grows meanwhile
            yield seen[each]
            for other in seen[each].references():
                if other not in seen:
                    with suppress(DatasetNotFound):
                        seen[other] = self._dataset_of(other)
                        names.append(other)

    async def _open_listing(self, name: str) -> tuple[Dataset, OpenSnapshot]:
        # Two members may have closed a circle at one moment: nobody waits in it.
        check_references(self._dataset_of(base_name(name)), self._known)
        return await self._open_dataset(name)

    def _known(self, name: str) -> Dataset | None:
        try:
            return self._dataset_of(name)
        except DatasetNotFound:
            return None

    async def retain(self, datasets: Iterable[Dataset]) -> None:
        """Close the origins of all datasets but these, in these generations."""
        for key in self._open.keys() - {_key(dataset) for dataset in datasets}:
            for origin in self._open.pop(key, []):
                await origin.close()

    async def close(self) -> None:
        """Close all."""
        await self.retain(())


def _key(dataset: Dataset) -> tuple[str, int]:
    # A record's changes raise its generation; made anew, it has another uid.
    return dataset.uid, dataset.generation


class Draining:
    """An origin that, once closed, is given back when those who still use it are done: a change
    of the dataset's record must not fail the reads under way. Implements `Origin`."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._users = 0
        self._closed = False

    @property
    def identity(self) -> str:
        """The origin's."""
        return self._origin.identity

    def covers(self, key: str) -> bool:
        """Whether the origin does."""
        return self._origin.covers(key)

    @asynccontextmanager
    async def _used(self) -> AsyncGenerator[None]:
        if self._closed:
            raise OriginUnreachable("the dataset was changed or deleted meanwhile")
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            await self._give_back()

    async def list(self) -> AsyncIterator[Listed]:
        """What the origin lists."""
        async with self._used():
            async for listed in self._origin.list():
                yield listed

    async def read(
        self, file: FileVersion, offset: int, into: memoryview, arrived: Arrived = nobody
    ) -> None:
        """Read from the origin."""
        async with self._used():
            await self._origin.read(file, offset, into, arrived)

    async def verify(self, file: FileVersion) -> None:
        """Ask the origin."""
        async with self._used():
            await self._origin.verify(file)

    async def close(self) -> None:
        """Let nobody in any more, and close the origin after the last one. Idempotent."""
        self._closed = True
        await self._give_back()

    async def _give_back(self) -> None:
        if self._closed and not self._users:
            await self._origin.close()
