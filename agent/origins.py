"""The origins of the datasets this node knows, opened when first read."""

from collections.abc import Callable, Iterable

from meshcache.dataset import Dataset
from meshcache.errors import OriginNotFound
from meshcache.origin import Origin
from meshcache.origin.open import open_origin
from meshcache.reader import SNAPSHOT_ORIGIN, Wanted
from meshcache.secrets import SecretSource


class Origins:
    """One open `Origin` for each mount of each dataset; credentials are resolved here, on this
    node, and nowhere else."""

    def __init__(
        self,
        secrets: SecretSource,
        dataset_of: Callable[[str], Dataset],
        snapshot_origin: Callable[[str], Origin],
    ) -> None:
        """`dataset_of` gives the record of a name; `snapshot_origin` what reads its snapshots."""
        self._secrets = secrets
        self._dataset_of = dataset_of
        self._snapshot_origin = snapshot_origin
        self._open: dict[str, list[Origin]] = {}

    def of(self, dataset: Dataset) -> list[Origin]:
        """The dataset's origins, in the order of its mounts.

        Raises:
            InvalidInput: a URL, an option or a reference to a secret is wrong on this node.
        """
        # A record never changes under its uid: a dataset is deleted and made anew.
        if dataset.uid not in self._open:
            self._open[dataset.uid] = self.open_unkept(dataset)
        return self._open[dataset.uid]

    def open_unkept(self, dataset: Dataset) -> list[Origin]:
        """The same for a dataset that is not (yet) a record; the caller closes them."""

        def resolve() -> dict[str, str]:
            return {
                option: self._secrets.resolve(reference)
                for option, reference in dataset.secret_options.items()
            }

        for mount in dataset.mounts:
            self._secrets.check_file_origin(mount.url)
        return [open_origin(mount, dataset.options, resolve) for mount in dataset.mounts]

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
        for origin in self.of(self._dataset_of(wanted.dataset)):
            if origin.identity == identity and origin.covers(key):
                return origin
        raise OriginNotFound(f"dataset {wanted.dataset!r} has no origin {identity} with {key!r}")

    async def retain(self, uids: Iterable[str]) -> None:
        """Close the origins of all datasets but these."""
        for uid in self._open.keys() - set(uids):
            for origin in self._open.pop(uid, []):
                await origin.close()

    async def close(self) -> None:
        """Close all."""
        await self.retain(())
