"""The datasets of the mesh: made, changed, deleted, and opened at the snapshot that is wanted."""

import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from meshcache.agent.catalog.entries import Entries, encoded
from meshcache.agent.catalog.listing import Listing
from meshcache.agent.catalog.refreshes import Refreshes
from meshcache.agent.catalog.versions import find_version, version_of
from meshcache.agent.origins import Origins
from meshcache.agent.origins.references import check_references, check_unused
from meshcache.agent.snapshots import OpenSnapshot, Snapshots
from meshcache.dataset import Dataset, Head, Version, base_name
from meshcache.errors import (
    ChecksumMismatch,
    DatasetExists,
    DatasetNotFound,
    InvalidInput,
    MeshcacheError,
    OriginError,
    OriginUnreachable,
    VersionNotFound,
)
from meshcache.singleflight import SingleFlight

log = structlog.get_logger()


class Catalog:
    """What datasets there are, and the snapshot each shows."""

    def __init__(
        self,
        entries: Entries,
        listing: Listing,
        refreshes: Refreshes,
        snapshots: Snapshots,
        origins: Origins,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._entries = entries
        self._listing = listing
        self._refreshes = refreshes
        self._snapshots = snapshots
        self._origins = origins
        self._now = now
        self._listing_anew: SingleFlight[str, Head] = SingleFlight()
        self.all = entries.all
        self.get = entries.get
        self.find = entries.find
        self.head = entries.head
        self.refresh = refreshes.refresh

    def names(self) -> list[str]:
        """The names of all datasets whose records this version can read, sorted."""
        return [dataset.name for dataset in self.all()]

    def shown_to_guests(self) -> dict[str, frozenset[tuple[str, str]]]:
        """As `Entries.shown_to_guests`."""
        return self._entries.shown_to_guests()

    def versions(self, name: str) -> tuple[Version, ...]:
        """The versions of a dataset that are remembered, the newest first.

        Raises:
            DatasetNotFound: there is no such dataset.
        """
        return self._entries.history(name).versions

    async def create(self, spec: Dataset) -> Dataset:
        """Make a dataset: list it first, so that a wrong URL or credential leaves nothing behind.

        Raises:
            DatasetExists: there is one of that name.
            InvalidInput: the record is too large, or a URL or option is wrong.
            OriginError: an origin could not be listed.
        """
        if self._entries.has(spec.name):
            raise DatasetExists(f"dataset {spec.name!r} exists already: delete it first")
        uid = secrets.token_hex(8)
        dataset = msgspec.structs.replace(spec, uid=uid, created=self._now())
        encoded(dataset)
        check_references(dataset, self.find)
        head = await self._listing.list_unkept(dataset)
        self._entries.add(dataset)
        try:
            self._entries.publish(spec.name, head)
        except InvalidInput:
            self._entries.remove(spec.name)
            raise
        log.info("dataset created", dataset=spec.name, files=head.files, bytes=head.bytes)
        return dataset

    async def change(self, spec: Dataset) -> Dataset:
        """Give a dataset another record: it keeps its uid, and its generation is raised.

        What decides what is shown (mounts, options, secrets) is listed first, and nothing is
        written unless that worked. A spec that says what the record says changes nothing.

        Raises:
            DatasetNotFound: there is no such dataset.
            InvalidInput: what cannot be, or a block size that is not the dataset's.
            OriginError: an origin could not be listed.
            DatasetBusy: the record was changed by somebody else meanwhile.
        """
        async with self._refreshes.no_other(spec.name):
            before = self.get(spec.name)
            if spec.of(before) == before:
                return before
            if spec.block_size != before.block_size:
                raise InvalidInput(
                    f"dataset {spec.name!r} has a block size of {before.block_size} bytes, which "
                    "cannot be changed: delete it and make it anew"
                )
            after = msgspec.structs.replace(spec.of(before), generation=before.generation + 1)
            encoded(after)
            check_references(after, self.find)
            head = None
            if _shown(after) != _shown(before):
                head = await self._listing.list_unkept(after)
            self._entries.replace(before, after)
            if head is not None:
                self._entries.publish(spec.name, head)
        await self.forget_deleted()
        log.info("dataset changed", dataset=spec.name, generation=after.generation)
        return after

    def check(self, spec: Dataset, lookup: Callable[[str], Dataset | None]) -> None:
        """Let pass a record that could be made or changed, as far as can be told without asking
        an origin. Reads files of secrets: call it in a thread.

        Args:
            spec: the record.
            lookup: gives the record of a dataset that may be an origin of it.

        Raises:
            InvalidInput: it could not be.
        """
        encoded(spec)
        check_references(spec, lookup)
        self._origins.check(spec)

    async def delete(self, name: str) -> None:
        """Forget a dataset everywhere; its blocks leave the stores as others need the room.

        Raises:
            DatasetNotFound: there is no such dataset.
            DatasetBusy: it is the origin of another one.
        """
        self.get(name)
        check_unused(name, self.all())
        self._entries.remove(name)
        await self.forget_deleted()
        log.info("dataset deleted", dataset=name)

    async def forget_deleted(self) -> None:
        """Close the origins of datasets that were deleted or changed, by whatever member."""
        await self._origins.retain(self.all())

    async def open(self, name: str) -> tuple[Dataset, OpenSnapshot]:
        """A dataset and the snapshot it shows, listed anew if no member holds it any more; of
        ``dataset@version`` that version's.

        Raises:
            DatasetNotFound: there is no such dataset.
            VersionNotFound: it has no such version, or no member holds its listing any more.
            OriginError: the snapshot is nowhere, and the origin cannot be listed.
        """
        if version_of(name) is not None:
            return await self._open_version(name)
        try:
            return await self.open_listed(name)
        except (OriginUnreachable, ChecksumMismatch):
            log.warning("snapshot is held nowhere, listing anew", dataset=name)
        # One listing for all who miss it: unlike `refresh`, none of them has seen a later change.
        head = await self._listing_anew.run(name, lambda: self.refresh(name))
        return self.get(name), await self._snapshots.open(name, head.snapshot, head.snapshot_size)

    async def open_listed(self, name: str) -> tuple[Dataset, OpenSnapshot]:
        """The same, for who only looks: it never has the origin listed.

        Raises:
            DatasetNotFound: there is no such dataset.
            OriginUnreachable: it was not listed yet, or no member holds the snapshot any more.
        """
        dataset = self.get(name)
        head = self.head(name)
        if head is None:
            raise OriginUnreachable(f"dataset {name!r} was not listed yet")
        return dataset, await self._snapshots.open(name, head.snapshot, head.snapshot_size)

    async def _open_version(self, name: str) -> tuple[Dataset, OpenSnapshot]:
        base, wanted = base_name(name), version_of(name) or ""
        dataset = self.get(base)
        version = find_version(base, wanted, self._entries.history(base))
        try:
            return dataset, await self._snapshots.open(base, version.name, version.size)
        except (OriginUnreachable, ChecksumMismatch) as error:
            raise VersionNotFound(
                f"version {wanted} of dataset {base!r} is not held by any member any more"
            ) from error

    async def open_shown(self, name: str, id: str, size: int) -> OpenSnapshot:
        """A snapshot that a mount of the dataset has shown before, whether or not it is remembered.

        Raises:
            OriginUnreachable: no member that could be reached holds it any more.
        """
        return await self._snapshots.open(base_name(name), id, size)

    async def warm(self, name: str) -> None:
        """Have a new head's snapshot here before anybody asks for it."""
        try:
            head = self.head(name)
            if head is not None:
                await self._snapshots.open(name, head.snapshot, head.snapshot_size)
        except (OriginError, DatasetNotFound):
            pass  # whoever needs it meets the error, and may list anew
        except MeshcacheError as error:
            log.warning("snapshot not fetched", dataset=name, error=str(error))


def _shown(dataset: Dataset) -> tuple[Any, ...]:
    """What of a record decides what is shown, and whether the origins can be read."""
    mounts = [msgspec.structs.replace(mount, name="") for mount in dataset.mounts]
    return mounts, dataset.options, dataset.secret_options
