"""One try to have a block, from one member or from the origin: into a draft, checked, kept.

Which of them is asked, and in what order, is the reader's matter (`meshcache.reader`).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from meshcache.accounts import Accounts
from meshcache.arrivals import Arrivals
from meshcache.block import PIECE_SIZE, Block, BlockId
from meshcache.budget import Budget
from meshcache.errors import StoreFull
from meshcache.origin.base import Origin
from meshcache.store import Draft, Store, memory_draft
from meshcache.traffic import Purpose
from meshcache.wanted import SNAPSHOT_ORIGIN, Found, Wanted


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


class Fetcher:
    """Fetches blocks into the store, within a budget of memory."""

    def __init__(
        self, store: Store, mesh: Mesh, open_origin: Callable[[Wanted], Origin], budget: Budget
    ) -> None:
        """Nothing is under way."""
        self._store = store
        self._mesh = mesh
        self._open_origin = open_origin
        self._budget = budget
        self.arrivals = Arrivals()
        """What is just coming from an origin."""
        self.accounts = Accounts()
        """What was read and loaded."""
        self.steps: Counter[str] = Counter()
        """Each time a source could not serve and the next was asked, by the reason's name."""

    async def from_origin(self, wanted: Wanted, purpose: Purpose | None = None) -> Found:
        """The block from the origin, unless it has come here meanwhile.

        Raises:
            OriginError: the origin does not give it.
        """
        # Between the look into the store and this flight, another flight may have ended.
        held = await self._store.lend(wanted.block.id)
        if held is not None:
            return Found(held, "store")
        block = wanted.block
        async with self._budget.take(block.length):
            draft = self._draft(block)
            try:
                await self._receive(wanted, draft.view)
                if block.file.origin != SNAPSHOT_ORIGIN:
                    self.accounts.fetched(wanted.dataset, block.length, purpose)
                return Found(await draft.commit(), "origin")
            finally:
                draft.abort()

    async def _receive(self, wanted: Wanted, into: memoryview) -> None:
        block, origin = wanted.block, self._open_origin(wanted)
        if block.length <= PIECE_SIZE:  # nobody waits for a part of so little
            await origin.read(block.file, block.offset, into)
            return
        with self.arrivals.coming(block.id, into) as arrival:
            await origin.read(block.file, block.offset, into, arrival.reach)

    async def from_member(
        self,
        member: str,
        wanted: Wanted,
        *,
        only_if_held: bool = False,
        purpose: Purpose = "read",
    ) -> Found:
        """A member's copy of the block.

        Raises:
            PeerError, OriginError: as `Mesh.fetch`.
            ChecksumMismatch: what came is not what the member vouches for.
        """
        async with self._budget.take(wanted.block.length):
            draft = self._draft(wanted.block)
            try:
                checksums = await self._mesh.fetch(
                    member, wanted, draft.view, only_if_held=only_if_held, purpose=purpose
                )
                return Found(await draft.commit(checksums), "peer")
            finally:
                draft.abort()

    def _draft(self, block: Block) -> Draft:
        try:
            return self._store.reserve(block.id, block.length)
        except StoreFull as error:
            self.steps[type(error).__name__] += 1
            return memory_draft(block.id, block.length)
