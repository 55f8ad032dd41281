"""How a block gets here: the store, the owner, the origin, in that order.

Three kinds of flight, so that a block is fetched once and members never wait in a circle:

- a *read*, for this node: the store, then the living owners by rank, last the origin;
- a *fill*, for a peer that takes this node for the block's owner, or for a read that finds
  itself to be the owner: the store, then the block's previous owners, then the origin. A fill
  never asks a member to fill, so two members that each think the other the owner cannot wait
  for each other;
- an *origin read*: it waits for no member at all, and that alone is what a peer may join that
  asks only for what is held. A snapshot's origin is the other members: nobody may join its read.

Whom an owner has sent here (`meshcache.fanout`) may join any of them: what this node waits for is
an owner's fill, which waits for no read.

There is one flight of a kind per block and node, and one that would only wait for the next is left
out: an owner's read is a fill, and a fill without a previous owner to ask is an origin read. Since
all nodes' reads go to one owner, the origin is asked once for the mesh. Each step down is counted
by name.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import takewhile
from typing import NamedTuple, Protocol, Self

import msgspec

from meshcache.accounts import Accounts
from meshcache.arrivals import Arrivals
from meshcache.block import PIECE_SIZE, Block, BlockId
from meshcache.budget import Budget
from meshcache.errors import (
    BlockNotHeld,
    ChecksumMismatch,
    DeadlineExceeded,
    ObjectChanged,
    OriginError,
    PeerError,
    StoreFull,
)
from meshcache.origin.base import Origin
from meshcache.singleflight import SingleFlight
from meshcache.store import Draft, Held, Store, memory_draft
from meshcache.traffic import Purpose, Source

OWNERS_ASKED = 2
"""Living members that a read asks, in the order of rank, before it goes to the origin itself.
With the first one dead and not yet noticed, all readers still meet at the second."""

SNAPSHOT_ORIGIN = "snapshot:"
"""The origin of snapshots: whichever members hold them."""


class Wanted(msgspec.Struct, frozen=True):
    """A block, and the dataset whose origin and credentials it can be read with."""

    dataset: str
    block: Block


class Mesh(Protocol):
    """What the reader knows of the other members. Members are named by their store ids."""

    @property
    def me(self) -> str:
        """This node's store id."""
        ...

    def owners(self, id: BlockId, count: int) -> Sequence[str]:
        """The first `count` living members by rank for the block, this one among them."""
        ...

    def previous_owners(self, id: BlockId, count: int) -> Sequence[str]:
        """The same, without the members that joined so lately that they hold little."""
        ...

    async def fetch(
        self,
        member: str,
        wanted: Wanted,
        into: memoryview,
        *,
        only_if_held: bool,
        purpose: Purpose = "read",
    ) -> bytes:
        """Have a member's copy of the block written to `into`; the member counts it by `purpose`.

        Returns:
            The block's piece checksums, as the member vouches for them.

        Raises:
            BlockNotHeld: `only_if_held`, and it does not hold the block.
            PeerError: the member could not be reached, or failed.
            OriginError: the member asked the origin, and this is what the origin said.
        """
        ...


class _Found(NamedTuple):
    """A block that is here now, and where it was found."""

    held: Held
    source: Source
    uncounted: bool = False
    """Whether the member that gave it has not counted it as read: it was asked for by a load, or
    by an owner for its store."""

    def share(self) -> Self:
        return self._replace(held=self.held.share())

    def release(self) -> None:
        self.held.release()


Flights = SingleFlight[BlockId, _Found]

Work = Callable[[], Awaitable[_Found]]


async def _nothing() -> _Found:
    raise BlockNotHeld("the block is not coming any more")


def _flights() -> Flights:
    return SingleFlight(take=_Found.share, discard=_Found.release)


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
        self._open_origin = open_origin
        self._budget = budget
        self._deadline = deadline
        self._reads = _flights()
        self._fills = _flights()
        self._origin_reads = _flights()
        self._arrivals = Arrivals()
        self.accounts = Accounts()
        """What was read and loaded."""
        self.steps: Counter[str] = Counter()
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
        return await self._arrivals.part(wanted.block.id, start, stop)

    async def read_ahead(self, wanted: Wanted) -> None:
        """Have the block here before a reader asks for it.

        Raises:
            OriginError, DeadlineExceeded: as `read`.
        """
        if self._is_coming(wanted.block.id):
            return
        held = await self._store.lend(wanted.block.id)
        if held is None:
            flights, work = self._way_here(wanted, "read")
            found = await self._in_time(flights, partial(self._ahead, wanted, work), wanted)
            held = found.held
        held.release()

    async def _ahead(self, wanted: Wanted, work: Work) -> _Found:
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

    async def _have(self, wanted: Wanted, purpose: Purpose) -> _Found:
        # A flight that is about to end has its block in the store already, but knows where it was.
        if not self._is_coming(wanted.block.id):
            held = await self._store.lend(wanted.block.id)
            if held is not None:
                return _Found(held, "store")
        flights, work = self._way_here(wanted, purpose)
        return await self._in_time(flights, work, wanted)

    def _is_coming(self, id: BlockId) -> bool:
        return id in self._reads or id in self._fills or id in self._origin_reads

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
        return self._origin_reads, lambda: self._read_origin(wanted, purpose)

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
        coming = (self._reads, self._fills, self._origin_reads)
        flights = next((flights for flights in coming if wanted.block.id in flights), None)
        if flights is not None:
            held = (await self._in_time(flights, _nothing, wanted)).held
        else:
            held = await self._held(wanted)
        if purpose == "read":
            self.accounts.given(wanted.dataset, held.length, "store")
        return held

    async def _held(self, wanted: Wanted) -> Held:
        held = await self._store.lend(wanted.block.id)
        if held is None:
            raise BlockNotHeld(f"block {wanted.block.id} is not held here")
        return held

    async def _have_to_give(
        self, wanted: Wanted, only_if_held: bool, purpose: Purpose | None
    ) -> _Found:
        held = await self._store.lend(wanted.block.id)
        if held is not None:
            return _Found(held, "store")
        if not only_if_held:
            return await self._in_time(*self._way_to_own(wanted, purpose), wanted)
        if not self._may_join(wanted):
            raise BlockNotHeld(f"block {wanted.block.id} is not held here")
        return await self._in_time(self._origin_reads, lambda: self._read_origin(wanted), wanted)

    def _may_join(self, wanted: Wanted) -> bool:
        """Whether the block is just coming, and from nobody who could be waiting for the asker."""
        return wanted.block.file.origin != SNAPSHOT_ORIGIN and wanted.block.id in self._origin_reads

    async def _in_time(self, flights: Flights, work: Work, wanted: Wanted) -> _Found:
        try:
            async with asyncio.timeout(self._deadline):
                return await flights.run(wanted.block.id, work)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"block {wanted.block.index} of {wanted.block.file.key!r} did not come "
                f"within {self._deadline:g} s"
            ) from error

    async def _find(self, wanted: Wanted, owners: Sequence[str], purpose: Purpose) -> _Found:
        for member in owners:
            if member == self._mesh.me:
                flights, work = self._way_to_own(wanted, purpose)
                return await flights.run(wanted.block.id, work)
            try:
                found = await self._fetch(member, wanted, purpose=purpose)
                return found._replace(uncounted=purpose == "load")
            except ObjectChanged:
                raise
            except (PeerError, OriginError, ChecksumMismatch) as error:
                # An owner may lack the credentials or the way to the origin that we have.
                self.steps[type(error).__name__] += 1
        return await self._read_from_origin(wanted, purpose)

    async def _own(self, wanted: Wanted, asked: Sequence[str], purpose: Purpose | None) -> _Found:
        for member in asked:
            try:
                found = await self._fetch(member, wanted, only_if_held=True)
                return found._replace(uncounted=True)
            except (PeerError, OriginError, ChecksumMismatch) as error:
                self.steps[type(error).__name__] += 1
        return await self._read_from_origin(wanted, purpose)

    async def _read_from_origin(self, wanted: Wanted, purpose: Purpose | None) -> _Found:
        return await self._origin_reads.run(
            wanted.block.id, lambda: self._read_origin(wanted, purpose)
        )

    async def _read_origin(self, wanted: Wanted, purpose: Purpose | None = None) -> _Found:
        # Between the look into the store and this flight, another flight may have ended.
        held = await self._store.lend(wanted.block.id)
        if held is not None:
            return _Found(held, "store")
        block = wanted.block
        async with self._budget.take(block.length):
            draft = self._draft(block)
            try:
                await self._receive(wanted, draft.view)
                if block.file.origin != SNAPSHOT_ORIGIN:
                    self.accounts.fetched(wanted.dataset, block.length, purpose)
                return _Found(await draft.commit(), "origin")
            finally:
                draft.abort()

    async def _receive(self, wanted: Wanted, into: memoryview) -> None:
        block, origin = wanted.block, self._open_origin(wanted)
        if block.length <= PIECE_SIZE:  # nobody waits for a part of so little
            await origin.read(block.file, block.offset, into)
            return
        with self._arrivals.coming(block.id, into) as arrival:
            await origin.read(block.file, block.offset, into, arrival.reach)

    async def _fetch(
        self,
        member: str,
        wanted: Wanted,
        *,
        only_if_held: bool = False,
        purpose: Purpose = "read",
    ) -> _Found:
        async with self._budget.take(wanted.block.length):
            draft = self._draft(wanted.block)
            try:
                checksums = await self._mesh.fetch(
                    member, wanted, draft.view, only_if_held=only_if_held, purpose=purpose
                )
                return _Found(await draft.commit(checksums), "peer")
            finally:
                draft.abort()

    def _draft(self, block: Block) -> Draft:
        try:
            return self._store.reserve(block.id, block.length)
        except StoreFull as error:
            self.steps[type(error).__name__] += 1
            return memory_draft(block.id, block.length)
