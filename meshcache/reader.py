"""How a block gets here: the store, the owner, the origin, in that order.

Three kinds of flight, so that a block is fetched once and members never wait in a circle:

- a *read*, for this node: the store, then the living owners by rank, last the origin;
- a *fill*, for a peer that takes this node for the block's owner, or for a read that finds
  itself to be the owner: the store, then the block's previous owners, then the origin. A fill
  never asks a member to fill, so two members that each think the other the owner cannot wait
  for each other;
- an *origin read*: it waits for no member at all, and that alone is what a peer may join that
  asks only for what is held. A snapshot's origin is the other members: nobody may join its read.

Whom an owner has sent here (`meshcache.fanout`) may join any of them: what this node waits for
ends, over those that it was sent to itself, at an owner's fill, which waits for no read.

There is one flight of a kind per block and node, and one that would only wait for the next is left
out: an owner's read is a fill, and a fill without a previous owner to ask is an origin read. Since
all nodes' reads go to one owner, the origin is asked once for the mesh. Each step down is counted
by name.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import takewhile

from meshcache.block import BlockId
from meshcache.budget import Budget
from meshcache.errors import (
    BlockNotHeld,
    ChecksumMismatch,
    DeadlineExceeded,
    ObjectChanged,
    OriginError,
    PeerError,
)
from meshcache.fetcher import Fetcher, Mesh
from meshcache.origin.base import Origin
from meshcache.singleflight import SingleFlight
from meshcache.store import Held, Store
from meshcache.traffic import Purpose
from meshcache.wanted import SNAPSHOT_ORIGIN, Found, Wanted

OWNERS_ASKED = 2
"""Living members that a read asks, in the order of rank, before it goes to the origin itself.
With the first one dead and not yet noticed, all readers still meet at the second."""

Flights = SingleFlight[BlockId, Found]

Work = Callable[[], Awaitable[Found]]


async def _nothing() -> Found:
    raise BlockNotHeld("the block is not coming any more")


def _flights() -> Flights:
    return SingleFlight(take=Found.share, discard=Found.release)


class Reader:
    """Reads blocks for this node and fills them for others."""

    def __init__(
        self,
        store: Store,
        mesh: Mesh,
        open_origin: Callable[[Wanted], Origin],
        budget: Budget,
        *,
        deadline: float = 60.0,
    ) -> None:
        """Put the parts together; `deadline` is in seconds and holds for one read or fill."""
        self._store = store
        self._mesh = mesh
        self._fetcher = Fetcher(store, mesh, open_origin, budget)
        self._deadline = deadline
        self._reads = _flights()
        self._fills = _flights()
        self._origin_reads = _flights()
        self.accounts = self._fetcher.accounts
        """What was read and loaded."""
        self.steps = self._fetcher.steps
        """Each time a source could not serve and the next was asked, by the reason's name."""

    async def read(self, wanted: Wanted) -> Held:
        """The block, for a reader on this node. The caller releases it.

        Raises:
            OriginError: no member holds it, and the origin does not give it.
            DeadlineExceeded: it took too long.
        """
        held, source, uncounted = await self._have(wanted, "read")
        if wanted.block.file.origin != SNAPSHOT_ORIGIN:
            id, length = wanted.block.id, held.length
            self.accounts.read(wanted.dataset, id, length, source, uncounted=uncounted)
        return held

    async def part(self, wanted: Wanted, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of a block that somebody reads now, as soon as they have come
        from the origin. Waits for ever if they come in another way: see `Arrivals.part`."""
        return await self._fetcher.arrivals.part(wanted.block.id, start, stop)

    async def read_ahead(self, wanted: Wanted) -> None:
        """Have the block here before a reader asks for it.

        Raises:
            OriginError, DeadlineExceeded: as `read`.
        """
        if self._coming(wanted.block.id) is not None:
            return
        held = await self._store.lend(wanted.block.id)
        if held is None:
            flights, work = self._way_here(wanted, "read")
            found = await self._in_time(flights, partial(self._ahead, wanted, work), wanted)
            held = found.held
        held.release()

    async def _ahead(self, wanted: Wanted, work: Work) -> Found:
        found = await work()
        self.accounts.fetched_ahead(wanted.block.id, found.source, uncounted=found.uncounted)
        return found

    async def load(self, wanted: Wanted) -> None:
        """Have the block here for whoever may read it one day: he will find it in the store.

        Raises:
            OriginError, DeadlineExceeded: as `read`.
        """
        found = await self._have(wanted, "load")
        found.release()
        self.accounts.loaded(wanted.block.length, found.source)

    async def _have(self, wanted: Wanted, purpose: Purpose) -> Found:
        # A flight that is about to end has its block in the store already, but knows where it was.
        if self._coming(wanted.block.id) is None:
            held = await self._store.lend(wanted.block.id)
            if held is not None:
                return Found(held, "store")
        flights, work = self._way_here(wanted, purpose)
        return await self._in_time(flights, work, wanted)

    def _coming(self, id: BlockId) -> Flights | None:
        """Where the block is on its way."""
        flights = (self._reads, self._fills, self._origin_reads)
        return next((each for each in flights if id in each), None)

    def _way_here(self, wanted: Wanted, purpose: Purpose) -> tuple[Flights, Work]:
        """The flight that a read takes, and its work. An owner's read is its fill."""
        owners = self._mesh.owners(wanted.block.id, OWNERS_ASKED)
        if owners and owners[0] == self._mesh.me:
            return self._way_to_own(wanted, purpose)
        return self._reads, lambda: self._find(wanted, owners, purpose)

    def _way_to_own(self, wanted: Wanted, purpose: Purpose | None) -> tuple[Flights, Work]:
        """The same of a fill, which is an origin read where no previous owner is to be asked."""
        id, me = wanted.block.id, self._mesh.me
        asked = [*takewhile(me.__ne__, self._mesh.previous_owners(id, OWNERS_ASKED))]
        if asked or id in self._fills:
            return self._fills, lambda: self._own(wanted, asked, purpose)
        return self._origin_reads, lambda: self._fetcher.from_origin(wanted, purpose)

    async def fill(
        self, wanted: Wanted, *, only_if_held: bool = False, purpose: Purpose | None = None
    ) -> Held:
        """The block, for a peer that takes this node for its owner. The caller releases it.

        Args:
            only_if_held: nothing is asked of the origin for it.
            purpose: what the peer has it for, so that it counts; None: it does not.

        Raises:
            BlockNotHeld: `only_if_held`, and it is neither here nor just coming from the origin.
            OriginError: the origin does not give it.
            DeadlineExceeded: it took too long.
        """
        held, source, _ = await self._have_to_give(wanted, only_if_held, purpose)
        if purpose == "read" and wanted.block.file.origin != SNAPSHOT_ORIGIN:
            self.accounts.given(wanted.dataset, held.length, source)
        return held

    async def give_on(self, wanted: Wanted, purpose: Purpose) -> Held:
        """The block, for a peer that its owner has sent here because this node has it from there,
        or is about to. The caller releases it. Nothing is asked of anybody for it.

        Raises:
            BlockNotHeld: it is neither here nor coming.
            OriginError: it was coming, and the origin did not give it.
            DeadlineExceeded: it took too long.
        """
        flights = self._coming(wanted.block.id)
        if flights is not None:
            held = (await self._in_time(flights, _nothing, wanted)).held
        else:
            held = (await self._have_to_give(wanted, only_if_held=True, purpose=None)).held
        if purpose == "read":
            self.accounts.given(wanted.dataset, held.length, "store")
        return held

    async def _have_to_give(
        self, wanted: Wanted, only_if_held: bool, purpose: Purpose | None
    ) -> Found:
        held = await self._store.lend(wanted.block.id)
        if held is not None:
            return Found(held, "store")
        if not only_if_held:
            return await self._in_time(*self._way_to_own(wanted, purpose), wanted)
        if not self._may_join(wanted):
            raise BlockNotHeld(f"block {wanted.block.id} is not held here")
        return await self._in_time(
            self._origin_reads, lambda: self._fetcher.from_origin(wanted), wanted
        )

    def _may_join(self, wanted: Wanted) -> bool:
        """Whether the block is just coming, and from nobody who could be waiting for the asker."""
        return wanted.block.file.origin != SNAPSHOT_ORIGIN and wanted.block.id in self._origin_reads

    async def _in_time(self, flights: Flights, work: Work, wanted: Wanted) -> Found:
        try:
            async with asyncio.timeout(self._deadline):
                return await flights.run(wanted.block.id, work)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"block {wanted.block.index} of {wanted.block.file.key!r} did not come "
                f"within {self._deadline:g} s"
            ) from error

    async def _find(self, wanted: Wanted, owners: Sequence[str], purpose: Purpose) -> Found:
        for member in owners:
            if member == self._mesh.me:
                flights, work = self._way_to_own(wanted, purpose)
                return await flights.run(wanted.block.id, work)
            try:
                found = await self._fetcher.from_member(member, wanted, purpose=purpose)
                return found._replace(uncounted=purpose == "load")
            except ObjectChanged:
                raise
            except (PeerError, OriginError, ChecksumMismatch) as error:
                # An owner may lack the credentials or the way to the origin that we have.
                self.steps[type(error).__name__] += 1
        return await self._read_from_origin(wanted, purpose)

    async def _own(self, wanted: Wanted, asked: Sequence[str], purpose: Purpose | None) -> Found:
        for member in asked:
            try:
                found = await self._fetcher.from_member(member, wanted, only_if_held=True)
                return found._replace(uncounted=True)
            except (PeerError, OriginError, ChecksumMismatch) as error:
                self.steps[type(error).__name__] += 1
        return await self._read_from_origin(wanted, purpose)

    async def _read_from_origin(self, wanted: Wanted, purpose: Purpose | None) -> Found:
        return await self._origin_reads.run(
            wanted.block.id, lambda: self._fetcher.from_origin(wanted, purpose)
        )
