"""Who lists a dataset: one member for all that ask, by rank and not by appointment.

A refresh is done by the first living member by rendezvous rank for the dataset's uid; whoever is
asked passes it on. So refreshes that are asked for at different members meet at one, and there they
share a listing: one that begins after the last of them asked, for an earlier one may have missed
what somebody wants to see. A member that cannot list (no credentials, no way to the origin, gone)
is passed over for the next, last comes the member that was asked. Two members that differ about who
is alive both list, and the later head wins: that costs a listing, nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from weakref import WeakValueDictionary

import structlog

from meshcache.agent.catalog.entries import Entries
from meshcache.agent.catalog.listing import Listing
from meshcache.dataset import Dataset, Head
from meshcache.errors import (
    DatasetBusy,
    OriginDenied,
    OriginUnreachable,
    PeerError,
)
from meshcache.singleflight import SingleFlight

log = structlog.get_logger()

ASKED = 2
"""Members that a refresh is passed on to before the member that was asked lists by itself."""


class Members(Protocol):
    """What is to be known of the mesh. Members are named by their store ids."""

    @property
    def me(self) -> str:
        """This node's store id."""
        ...

    def ranked(self, key: bytes, count: int) -> Sequence[str]:
        """The first `count` living members by rank for a key."""
        ...

    async def refresh(self, member: str, dataset: str) -> Head:
        """Have a member list a dataset.

        Raises:
            PeerError: the member could not be reached, or failed.
            OriginError: what an origin said to it.
        """
        ...


def turn_key(dataset: Dataset) -> bytes:
    """What members are ranked by for listing a dataset (docs/wire-format.md)."""
    return f"list {dataset.uid}".encode()


class Refreshes:
    """Refreshes datasets, here or by whose turn it is."""

    def __init__(self, entries: Entries, listing: Listing, members: Members) -> None:
        self._entries = entries
        self._listing = listing
        self._members = members
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._begun: dict[str, int] = {}
        """Dataset -> listings that have begun here."""
        self._flights: SingleFlight[tuple[str, int], Head] = SingleFlight()

    @asynccontextmanager
    async def no_other(self, name: str) -> AsyncIterator[None]:
        """Keep refreshes of a dataset away from this member's own changes of its record."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            yield

    async def refresh(self, name: str) -> Head:
        """Show what the origins have now; unchanged files keep their bytes.

        Raises:
            DatasetNotFound: there is no such dataset.
            OriginError: an origin could not be listed; the old head stays.
            DatasetBusy: the dataset was changed meanwhile.
        """
        dataset = self._entries.get(name)
        for member in self._members.ranked(turn_key(dataset), ASKED):
            if member == self._members.me:
                break
            try:
                head = await self._members.refresh(member, name)
            except (PeerError, OriginDenied, OriginUnreachable) as why:
                log.info("a refresh was not done by its first", dataset=name, error=str(why))
                continue
            return await self._entries.head_since(name, head.listed) or head
        return await self.refresh_here(name)

    async def refresh_here(self, name: str) -> Head:
        """The same, by this member. Who asks before a listing begins shares it."""
        self._entries.get(name)
        turn = self._begun.get(name, 0)
        return await self._flights.run((name, turn), lambda: self._in_turn(name, turn))

    async def _in_turn(self, name: str, turn: int) -> Head:
        async with self.no_other(name):
            self._begun[name] = turn + 1
            dataset = self._entries.get(name)
            head = await self._listing.list_dataset(dataset)
            there = self._entries.get(name)
            if (there.uid, there.generation) != (dataset.uid, dataset.generation):
                raise DatasetBusy(f"dataset {name!r} was changed while it was listed")
            self._entries.publish(name, head)
            log.info("dataset listed", dataset=name, files=head.files, snapshot=head.snapshot[:12])
            return head
