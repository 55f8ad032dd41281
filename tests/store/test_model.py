"""The store beside a model of it: any sequence of operations, compared after each one.

The model is lists and dictionaries. The disk is asked too: what the kernel has allocated for the
folder's files, those included that have no name any more and live by a descriptor or a mapping,
is never above the quota, and is what the store says it uses.
"""

import asyncio
import itertools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meshcache.block import BlockId
from meshcache.errors import StoreFull
from meshcache.store import Draft, Held, Store, drafts
from meshcache.store.ledger import charge_of
from tests.support.blocks import SIZE, block_id, fill, is_right

IDS = [block_id(number) for number in range(6)]
IN_MEMORY = SIZE * 3 // 4
LENGTHS = [1, IN_MEMORY, SIZE]
"""One for each way in which a draft is made, with `IN_MEMORY` as it is here."""
QUOTAS = [2 * charge_of(SIZE), 3 * charge_of(SIZE) + 4096, 4 * charge_of(SIZE)]


@dataclass(eq=False)
class Kept:
    """The model of a block or a draft."""

    id: BlockId
    length: int
    uses: int = 0

    @property
    def charge(self) -> int:
        return charge_of(self.length)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(drafts, "IN_MEMORY", IN_MEMORY)
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="meshcache-model-"))
        self.ticks = itertools.count(1_800_000_000, 61)  # so that each use is noted on disk
        self.quota = QUOTAS[-1]
        self.drafts: list[tuple[Draft, Kept]] = []
        self.loans: list[tuple[Held, Kept]] = []
        self.listed: dict[BlockId, Kept] = {}
        self.order: list[Kept] = []  # listed and not in use, the least recently used first
        self.store = self.open()

    def open(self) -> Store:
        return Store.open(self.folder, self.quota, now=lambda: float(next(self.ticks)))

    def teardown(self) -> None:
        for held, _ in self.loans:
            held.release()
        self.store.close()
        self.runner.close()
        shutil.rmtree(self.folder)
        self.patch.undo()

    # --- the model's own moves --------------------------------------------------------------

    def counted(self) -> list[Kept]:
        in_use = [kept for _, kept in self.drafts + self.loans]
        found = [*self.listed.values(), *in_use]
        return list({id(kept): kept for kept in found}.values())

    def used(self) -> int:
        return sum(kept.charge for kept in self.counted())

    def use(self, kept: Kept) -> None:
        kept.uses += 1
        if kept in self.order:
            self.order.remove(kept)

    def give_back(self, kept: Kept) -> None:
        kept.uses -= 1
        if kept.uses == 0 and self.listed.get(kept.id) is kept:
            self.order.append(kept)

    def unlist(self, kept: Kept) -> None:
        del self.listed[kept.id]
        if kept in self.order:
            self.order.remove(kept)

    def make_room(self, charge: int) -> bool:
        if self.used() - sum(kept.charge for kept in self.order) + charge > self.quota:
            return False
        while self.used() + charge > self.quota:
            self.unlist(self.order[0])
        return True

    # --- the moves of both ------------------------------------------------------------------

    @rule(identity=st.sampled_from(IDS), length=st.sampled_from(LENGTHS))
    def reserve(self, identity: BlockId, length: int) -> None:
        fits = self.make_room(charge_of(length))
        try:
            draft = self.store.reserve(identity, length)
        except StoreFull:
            assert not fits
            return
        assert fits
        self.drafts.append((fill(draft), Kept(identity, length, uses=1)))

    @precondition(lambda self: self.drafts)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        draft, kept = self.drafts.pop(data.draw(st.integers(0, len(self.drafts) - 1)))
        self.loans.append((self.runner.run(draft.commit()), kept))
        if (former := self.listed.get(kept.id)) is not None:
            self.unlist(former)
        self.listed[kept.id] = kept

    @rule(identity=st.sampled_from(IDS))
    def keep(self, identity: BlockId) -> None:
        """The usual course at once, so that the store is full often and must choose."""
        self.reserve(identity, SIZE)
        if self.drafts and self.drafts[-1][1].id == identity:
            draft, kept = self.drafts.pop()
            self.runner.run(draft.commit()).release()
            if (former := self.listed.get(identity)) is not None:
                self.unlist(former)
            self.listed[identity] = kept
            self.give_back(kept)

    @precondition(lambda self: self.drafts)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        draft, _ = self.drafts.pop(data.draw(st.integers(0, len(self.drafts) - 1)))
        draft.abort()

    @rule(identity=st.sampled_from(IDS))
    def lend(self, identity: BlockId) -> None:
        held = self.runner.run(self.store.lend(identity))
        assert (held is not None) == (identity in self.listed)
        if held is not None:
            self.use(self.listed[identity])
            self.loans.append((held, self.listed[identity]))

    @precondition(lambda self: self.loans)
    @rule(data=st.data())
    def share(self, data: st.DataObject) -> None:
        held, kept = data.draw(st.sampled_from(self.loans))
        self.use(kept)
        self.loans.append((held.share(), kept))

    @precondition(lambda self: self.loans)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        held, kept = data.draw(st.sampled_from(self.loans))
        assert held.length == kept.length
        assert is_right(held)

    @precondition(lambda self: self.loans)
    @rule(data=st.data(), twice=st.booleans())
    def release(self, data: st.DataObject, twice: bool) -> None:
        held, kept = self.loans.pop(data.draw(st.integers(0, len(self.loans) - 1)))
        held.release()
        if twice:
            held.release()
        self.give_back(kept)

    @rule(identity=st.sampled_from(IDS))
    def discard(self, identity: BlockId) -> None:
        self.store.discard(identity)
        if identity in self.listed:
            self.unlist(self.listed[identity])

    @rule(quota=st.sampled_from(QUOTAS))
    def reopen(self, quota: int) -> None:
        for held, kept in self.loans:
            held.release()
            self.give_back(kept)
        self.store.close()
        self.loans, self.drafts, self.quota = [], [], quota
        self.store = self.open()
        self.make_room(0)
        assert list(self.store.ids()) == [kept.id for kept in self.order]

    # --- what always holds ------------------------------------------------------------------

    @invariant()
    def they_agree(self) -> None:
        assert set(self.store.ids()) == set(self.listed)
        assert self.store.used == self.used()
        assert self.store.used <= self.quota
        assert self.store.corrupt == self.store.failures == 0

    @invariant()
    def the_disk_is_within_the_quota(self) -> None:
        # A draft in memory is written when it is committed.
        later = sum(kept.charge for _, kept in self.drafts if kept.length <= IN_MEMORY)
        assert allocated(self.folder) + later == self.store.used


def allocated(folder: Path) -> int:
    """Bytes that the kernel has allocated for block files, named or only open in this process."""
    sizes: dict[int, int] = {}
    shards = {folder / "blocks" / str(identity)[:2] for identity in IDS}
    for part in [folder / "tmp", *shards]:
        for file in part.iterdir():
            status = file.stat()
            sizes[status.st_ino] = status.st_blocks * 512
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if str(entry.readlink()).startswith(f"{folder}/"):
                status = entry.stat()
                if status.st_mode & 0o170000 == 0o100000 and "/lock" not in str(entry.readlink()):
                    sizes[status.st_ino] = status.st_blocks * 512
        except FileNotFoundError:
            continue
    return sum(sizes.values())


StoreMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=50, deadline=None, derandomize=True
)
test_the_store_does_what_its_model_does = StoreMachine.TestCase
