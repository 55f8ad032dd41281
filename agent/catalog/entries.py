"""What the replicated map says of datasets: records, heads and histories, read and written."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

import msgspec

from meshcache.agent.mesh.space import Space
from meshcache.dataset import MAX_RECORD, Dataset, Head, History
from meshcache.errors import DatasetBusy, DatasetExists, DatasetNotFound, InvalidInput
from meshcache.gossip import EntryTooLarge, Gossip, MapChanged, MapConflict, MapFull

DATASETS = "datasets"
HEADS = "heads"
HISTORIES = "versions"

HEAD_WITHIN = 5.0
"""Seconds for a head to come by gossip after the member that wrote it has said so."""


class Entries:
    """The datasets as this member knows them."""

    def __init__(self, gossip: Gossip) -> None:
        self._gossip = gossip
        self._map = gossip.map
        self._datasets = Space(gossip.map, DATASETS, Dataset)
        self._heads = Space(gossip.map, HEADS, Head)
        self._histories = Space(gossip.map, HISTORIES, History)

    def all(self) -> list[Dataset]:
        """The datasets' records, sorted by name; without those that this version cannot read."""
        return list(self._datasets.all().values())

    def get(self, name: str) -> Dataset:
        """A dataset's record.

        Raises:
            DatasetNotFound: there is none of that name, or one this version cannot read.
        """
        found = self.find(name)
        if found is not None:
            return found
        if self.has(name):
            raise DatasetNotFound(f"the record of dataset {name!r} cannot be read by this version")
        raise DatasetNotFound(f"no dataset {name!r}: see `meshcache dataset list`")

    def find(self, name: str) -> Dataset | None:
        """A dataset's record; None if there is none of that name, or one this version cannot
        read."""
        return self._datasets.find(name)

    def has(self, name: str) -> bool:
        """Whether the name is taken, be it by a record that cannot be read."""
        return self._map.get(DATASETS, name) is not None

    def head(self, name: str) -> Head | None:
        """The dataset's head; None until its first listing is known here."""
        head = self._heads.find(name)
        return head if head is not None and head.dataset_uid == self.get(name).uid else None

    def history(self, name: str) -> History:
        """The versions of a dataset that are remembered.

        Raises:
            DatasetNotFound: there is no such dataset.
        """
        uid = self.get(name).uid
        history = self._histories.find(name)
        return history if history and history.dataset_uid == uid else History(uid)

    def shown_to_guests(self) -> dict[str, frozenset[tuple[str, str]]]:
        """Name -> the map's entries, as (namespace, key), that guests of that dataset see: its own,
        and those of the datasets that it is made of."""
        datasets = self._datasets.all()
        return {name: frozenset(_entries_of(_made_of(name, datasets))) for name in datasets}

    async def head_since(self, name: str, listed: float) -> Head | None:
        """The head, once it is known here that it was listed then or later; or what is known
        after `HEAD_WITHIN`."""
        changed = asyncio.Event()

        def note(event: object) -> None:
            if isinstance(event, MapChanged):
                changed.set()

        unsubscribe: Callable[[], None] = self._gossip.subscribe(note)
        with suppress(TimeoutError):
            try:
                async with asyncio.timeout(HEAD_WITHIN):
                    while (head := self.head(name)) is None or head.listed < listed:
                        await changed.wait()
                        changed.clear()
            finally:
                unsubscribe()
        return self.head(name)

    # --- writing --------------------------------------------------------------------------------

    def add(self, dataset: Dataset) -> None:
        """Write a new record.

        Raises:
            DatasetExists: there is one of that name.
            InvalidInput: it is too large, or the map is full.
        """
        try:
            self._map.put(DATASETS, dataset.name, encoded(dataset), expect=None)
        except MapConflict as error:
            raise DatasetExists(f"dataset {dataset.name!r} was created meanwhile") from error
        except (EntryTooLarge, MapFull) as error:
            raise InvalidInput(str(error)) from error

    def replace(self, before: Dataset, after: Dataset) -> None:
        """Write another record in the place of one that was read.

        Raises:
            DatasetBusy: there is another one now.
            InvalidInput: it is too large, or the map is full.
        """
        entry = self._map.get(DATASETS, before.name)
        busy = DatasetBusy(f"dataset {before.name!r} was changed meanwhile")
        if entry is None or self.find(before.name) != before:
            raise busy
        try:
            self._map.put(DATASETS, before.name, encoded(after), expect=entry.version)
        except MapConflict as error:
            raise busy from error
        except (EntryTooLarge, MapFull) as error:
            raise InvalidInput(str(error)) from error

    def publish(self, name: str, head: Head) -> None:
        """Show another snapshot.

        Raises:
            InvalidInput: the map is full.
        """
        history = self.history(name)
        after = history.with_head(head)
        try:
            if after is not history:
                self._map.put(HISTORIES, name, after.encode())
            self._map.put(HEADS, name, msgspec.msgpack.encode(head))
        except (EntryTooLarge, MapFull) as error:
            raise InvalidInput(str(error)) from error

    def remove(self, name: str) -> None:
        """Forget a dataset, its head and its history."""
        for space in (HEADS, HISTORIES, DATASETS):
            self._map.delete(space, name)


def _made_of(name: str, datasets: Mapping[str, Dataset]) -> set[str]:
    """A dataset, its origins that are datasets, theirs, and so on."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += datasets[one].references() if one in datasets else ()
    return found


def _entries_of(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((space, name) for name in names for space in (DATASETS, HEADS, HISTORIES))


def encoded(dataset: Dataset) -> bytes:
    """A dataset as a record.

    Raises:
        InvalidInput: it is too large.
    """
    record = msgspec.msgpack.encode(dataset)
    if len(record) > MAX_RECORD:
        raise InvalidInput(
            f"the record of dataset {dataset.name!r} takes {len(record)} bytes, and may take "
            f"{MAX_RECORD}: give it fewer or shorter options"
        )
    return record
