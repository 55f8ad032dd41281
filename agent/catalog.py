"""The datasets of the mesh: their records, their heads, and how a head comes to be.

Records live in gossip's replicated map, so every member knows every dataset. A head is made by
whichever member is asked to create or refresh: it lists the origins, keeps the snapshot in its
store, and only then publishes the head. A listing that fails publishes nothing.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

import msgspec
import structlog

from meshcache.agent.origins import Origins
from meshcache.agent.references import check_references, check_unused
from meshcache.agent.snapshots import OpenSnapshot, Snapshots
from meshcache.dataset import MAX_RECORD, Dataset, Head
from meshcache.errors import (
    ChecksumMismatch,
    DatasetBusy,
    DatasetExists,
    DatasetNotFound,
    InvalidInput,
    MeshcacheError,
    OriginError,
    OriginUnreachable,
)
from meshcache.gossip import EntryTooLarge, Gossip, MapConflict, MapFull
from meshcache.origin import Origin
from meshcache.singleflight import SingleFlight
from meshcache.snapshot import Builder, Skipped

log = structlog.get_logger()

DATASETS = "datasets"
HEADS = "heads"

_dataset_decoder = msgspec.msgpack.Decoder(Dataset)
_head_decoder = msgspec.msgpack.Decoder(Head)


class Catalog:
    """What datasets there are, and the snapshot each shows."""

    def __init__(
        self,
        gossip: Gossip,
        snapshots: Snapshots,
        origins: Origins,
        *,
        member: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`member` is this agent's name: it stands in the heads that it publishes."""
        self._map = gossip.map
        self._snapshots = snapshots
        self._origins = origins
        self._member = member
        self._now = now
        self._listing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._listing_anew: SingleFlight[str, Head] = SingleFlight()

    def names(self) -> list[str]:
        """The names of all datasets whose records this version can read, sorted."""
        return [dataset.name for dataset in self.all()]

    def all(self) -> list[Dataset]:
        """The datasets' records, sorted by name; without those that this version cannot read."""
        found = []
        for name, _ in self._map.items(DATASETS):
            with suppress(DatasetNotFound):
                found.append(self.get(name))
        return found

    def get(self, name: str) -> Dataset:
        """A dataset's record.

        Raises:
            DatasetNotFound: there is none of that name, or one this version cannot read.
        """
        entry = self._map.get(DATASETS, name)
        if entry is None:
            raise DatasetNotFound(f"no dataset {name!r}: see `meshcache dataset list`")
        try:
            return _dataset_decoder.decode(entry.value)
        except (msgspec.MsgspecError, InvalidInput) as error:
            raise DatasetNotFound(
                f"the record of dataset {name!r} cannot be read: {error}"
            ) from error

    def head(self, name: str) -> Head | None:
        """The dataset's head; None until its first listing is known here."""
        entry = self._map.get(HEADS, name)
        if entry is None:
            return None
        try:
            head = _head_decoder.decode(entry.value)
        except msgspec.MsgspecError:
            return None
        return head if head.dataset_uid == self.get(name).uid else None

    async def create(self, spec: Dataset) -> Dataset:
        """Make a dataset: list it first, so that a wrong URL or credential leaves nothing behind.

        Raises:
            DatasetExists: there is one of that name.
            InvalidInput: the record is too large, or a URL or option is wrong.
            OriginError: an origin could not be listed.
        """
        if self._map.get(DATASETS, spec.name) is not None:
            raise DatasetExists(f"dataset {spec.name!r} exists already: delete it first")
        uid = secrets.token_hex(8)
        dataset = msgspec.structs.replace(spec, uid=uid, created=self._now())
        record = _encoded(dataset)
        check_references(dataset, self.find)
        head = await self._list_unkept(dataset)
        try:
            self._map.put(DATASETS, spec.name, record, expect=None)
        except MapConflict as error:
            raise DatasetExists(f"dataset {spec.name!r} was created meanwhile") from error
        except (EntryTooLarge, MapFull) as error:
            raise InvalidInput(str(error)) from error
        try:
            self._publish(spec.name, head)
        except InvalidInput:
            self._map.delete(DATASETS, spec.name)
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
        async with self._listing.setdefault(spec.name, asyncio.Lock()):
            before = self.get(spec.name)
            entry = self._map.get(DATASETS, spec.name)
            if entry is None or spec.of(before) == before:
                return before
            if spec.block_size != before.block_size:
                raise InvalidInput(
                    f"dataset {spec.name!r} has a block size of {before.block_size} bytes, which "
                    "cannot be changed: delete it and make it anew"
                )
            after = msgspec.structs.replace(spec.of(before), generation=before.generation + 1)
            record = _encoded(after)
            check_references(after, self.find)
            head = await self._list_unkept(after) if _shown(after) != _shown(before) else None
            try:
                self._map.put(DATASETS, spec.name, record, expect=entry.version)
            except MapConflict as error:
                raise DatasetBusy(f"dataset {spec.name!r} was changed meanwhile") from error
            except (EntryTooLarge, MapFull) as error:
                raise InvalidInput(str(error)) from error
            if head is not None:
                self._publish(spec.name, head)
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
        _encoded(spec)
        check_references(spec, lookup)
        self._origins.check(spec)

    def find(self, name: str) -> Dataset | None:
        """A dataset's record; None if there is none of that name."""
        try:
            return self.get(name)
        except DatasetNotFound:
            return None

    async def _list_unkept(self, dataset: Dataset) -> Head:
        origins = self._origins.open_unkept(dataset)
        try:
            return await self._list(dataset, origins)
        finally:
            for origin in origins:
                await origin.close()

    def _publish(self, name: str, head: Head) -> None:
        try:
            self._map.put(HEADS, name, msgspec.msgpack.encode(head))
        except (EntryTooLarge, MapFull) as error:
            raise InvalidInput(str(error)) from error

    async def refresh(self, name: str) -> Head:
        """List the origins anew and show what is there now; unchanged files keep their bytes.

        Raises:
            DatasetNotFound: there is no such dataset.
            OriginError: an origin could not be listed; the old head stays.
            DatasetBusy: the dataset was changed meanwhile.
        """
        self.get(name)
        async with self._listing.setdefault(name, asyncio.Lock()):
            dataset = self.get(name)
            head = await self._list(dataset, self._origins.of(dataset))
            there = self.get(name)
            if (there.uid, there.generation) != (dataset.uid, dataset.generation):
                raise DatasetBusy(f"dataset {name!r} was changed while it was listed")
            self._publish(name, head)
            log.info("dataset listed", dataset=name, files=head.files, snapshot=head.snapshot[:12])
            return head

    async def delete(self, name: str) -> None:
        """Forget a dataset everywhere; its blocks leave the stores as others need the room.

        Raises:
            DatasetNotFound: there is no such dataset.
            DatasetBusy: it is the origin of another one.
        """
        self.get(name)
        check_unused(name, self.all())
        self._map.delete(HEADS, name)
        self._map.delete(DATASETS, name)
        await self.forget_deleted()
        log.info("dataset deleted", dataset=name)

    async def forget_deleted(self) -> None:
        """Close the origins of datasets that were deleted or changed, by whatever member."""
        await self._origins.retain(self.all())

    async def _list(self, dataset: Dataset, origins: list[Origin]) -> Head:
        builder = Builder(
            (mount.path, origin.identity)
            for mount, origin in zip(dataset.mounts, origins, strict=True)
        )
        for index, origin in enumerate(origins):
            async for listed in origin.list():
                builder.add(index, listed)
        data = await asyncio.to_thread(builder.build)
        snapshot = (await self._snapshots.keep(data)).snapshot
        if builder.skipped.count:
            _tell_skipped(dataset.name, builder.skipped)
        return Head(
            dataset_uid=dataset.uid,
            snapshot=snapshot.id,
            snapshot_size=len(data),
            files=snapshot.files,
            bytes=snapshot.bytes,
            skipped=builder.skipped.count,
            listed=self._now(),
            lister=self._member,
        )

    async def open(self, name: str) -> tuple[Dataset, OpenSnapshot]:
        """A dataset and the snapshot it shows, listed anew if no member holds it any more.

        Raises:
            DatasetNotFound: there is no such dataset.
            OriginError: the snapshot is nowhere, and the origin cannot be listed.
        """
        try:
            return await self.open_listed(name)
        except (OriginUnreachable, ChecksumMismatch):
            log.warning("snapshot is held nowhere, listing anew", dataset=name)
        # One listing for all who miss it: unlike `refresh`, none of them has seen a later change.
        head = await self._listing_anew.run(name, lambda: self.refresh(name))
        return self.get(name), await self._snapshots.open(name, head)

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
        return dataset, await self._snapshots.open(name, head)

    async def warm(self, name: str) -> None:
        """Have a new head's snapshot here before anybody asks for it."""
        try:
            head = self.head(name)
            if head is not None:
                await self._snapshots.open(name, head)
        except (OriginError, DatasetNotFound):
            pass  # whoever needs it meets the error, and may list anew
        except MeshcacheError as error:
            log.warning("snapshot not fetched", dataset=name, error=str(error))


def _encoded(dataset: Dataset) -> bytes:
    record = msgspec.msgpack.encode(dataset)
    if len(record) > MAX_RECORD:
        raise InvalidInput(
            f"the record of dataset {dataset.name!r} takes {len(record)} bytes, and may take "
            f"{MAX_RECORD}: give it fewer or shorter options"
        )
    return record


def _shown(dataset: Dataset) -> tuple[Any, ...]:
    """What of a record decides what is shown, and whether the origins can be read."""
    mounts = [msgspec.structs.replace(mount, name="") for mount in dataset.mounts]
    return mounts, dataset.options, dataset.secret_options


def _tell_skipped(dataset: str, skipped: Skipped) -> None:
    log.warning(
        "keys that are no paths were skipped",
        dataset=dataset,
        count=skipped.count,
        reasons=dict(skipped.reasons),
        examples=[key for key, _ in skipped.keys()[:20]],
    )
