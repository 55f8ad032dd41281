"""Drafts: seen by nobody until they are whole and right."""

import asyncio
import errno
import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshcache.block import checksums
from meshcache.errors import ChecksumMismatch, InvalidInput, StoreFull
from meshcache.store import Store
from meshcache.store import draft as draft_module
from meshcache.store.ledger import charge_of
from meshcache.store.trailer import trailer_size
from tests.store.conftest import Opener
from tests.support.blocks import SIZE, block_id, bytes_of, fill, is_right, keep
from tests.support.wait import eventually

CHARGE = charge_of(SIZE)


def files(folder: Path) -> list[str]:
    return [file.name for part in ("blocks", "tmp") for file in (folder / part).rglob("*-*")]


async def test_a_draft_is_counted_but_not_lent(store: Store) -> None:
    draft = fill(store.reserve(block_id(1), SIZE))
    assert store.used == CHARGE
    assert store.blocks == 0
    assert await store.lend(block_id(1)) is None
    draft.abort()
    draft.abort()
    assert store.used == 0


async def test_an_aborted_draft_leaves_no_file(store: Store, tmp_path: Path) -> None:
    store.reserve(block_id(1), SIZE).abort()
    assert files(tmp_path / "cache") == []


async def test_a_draft_with_the_checksums_it_came_with_is_kept(store: Store) -> None:
    draft = fill(store.reserve(block_id(1), 1000))
    held = await draft.commit(checksums(memoryview(bytes_of(block_id(1), 1000))))
    assert is_right(held)
    held.release()


@pytest.mark.parametrize(
    "damage", [lambda sums: b"\0" * 32 + sums[32:], lambda sums: sums[:-32], lambda sums: b""]
)
async def test_a_draft_with_other_checksums_is_thrown_away(
    store: Store, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    size = 4 * SIZE
    big = block_id(1, size=size)
    draft = fill(store.reserve(big, size))
    with pytest.raises(ChecksumMismatch):
        await draft.commit(damage(checksums(memoryview(bytes_of(big, size)))))
    assert big not in store
    assert store.used == 0
    assert files(tmp_path / "cache") == []


async def test_both_drafts_of_one_block_can_be_committed(store: Store) -> None:
    drafts = [fill(store.reserve(block_id(1), SIZE)) for _ in range(2)]
    loans = await asyncio.gather(*(draft.commit() for draft in drafts))
    assert store.blocks == 1
    assert store.used == 2 * CHARGE
    assert all(is_right(loan) for loan in loans)
    for loan in loans:
        loan.release()
    assert store.used == CHARGE


async def test_a_commit_over_an_idle_block_takes_its_place(store: Store) -> None:
    await keep(store, block_id(1))
    await keep(store, block_id(1))
    assert (store.blocks, store.used) == (1, CHARGE)


async def test_a_draft_is_over_after_commit(store: Store) -> None:
    draft = fill(store.reserve(block_id(1), SIZE))
    held = await draft.commit()
    draft.abort()  # does nothing
    with pytest.raises(ValueError, match="is over"):
        _ = draft.view
    with pytest.raises(ValueError, match="committed before"):
        await draft.commit()
    assert is_right(held)
    held.release()
    assert block_id(1) in store


async def test_an_aborted_draft_cannot_be_committed(store: Store) -> None:
    draft = store.reserve(block_id(1), SIZE)
    draft.abort()
    with pytest.raises(StoreFull, match="given up"):
        await draft.commit()


async def test_a_cancelled_commit_has_aborted(
    open_store: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    hashed = draft_module._hash

    def held_up(*given: Any) -> bytes:
        gate.wait(10)
        return hashed(*given)

    monkeypatch.setattr(draft_module, "_hash", held_up)
    store = open_store(quota=CHARGE)
    async with asyncio.TaskGroup() as group:
        committing = group.create_task(fill(store.reserve(block_id(1), SIZE)).commit())
        await asyncio.sleep(0)
        committing.cancel()
    assert files(tmp_path / "cache") == []
    assert store.used == CHARGE  # the thread still reads the removed file's bytes
    with pytest.raises(StoreFull):
        store.reserve(block_id(2), SIZE)
    gate.set()
    await eventually(lambda: store.used == 0)
    assert files(tmp_path / "cache") == []


async def test_closing_aborts_drafts_and_their_commits_fail(
    open_store: Opener, tmp_path: Path
) -> None:
    store = open_store()
    draft, hashing = (fill(store.reserve(block_id(number), SIZE)) for number in (1, 2))
    async with asyncio.TaskGroup() as group:

        async def commit() -> None:
            with pytest.raises(StoreFull):
                await hashing.commit()

        group.create_task(commit())
        await asyncio.sleep(0)
        store.close()
    with pytest.raises(StoreFull):
        await draft.commit()
    with pytest.raises(StoreFull, match="closed"):
        store.reserve(block_id(3), SIZE)
    assert files(tmp_path / "cache") == []


async def test_a_draft_that_was_left_open_is_told_and_aborted(store: Store, tmp_path: Path) -> None:
    with pytest.warns(ResourceWarning, match="left open"):
        store.reserve(block_id(1), SIZE)
        gc.collect()
    assert store.used == 0
    assert files(tmp_path / "cache") == []


async def test_a_view_that_outlives_an_aborted_draft_counts(store: Store) -> None:
    draft = store.reserve(block_id(1), SIZE)
    receiving = draft.view[100:200]
    draft.abort()
    assert store.used == CHARGE
    receiving[:] = bytes(100)
    del receiving
    assert store.used == 0


@pytest.mark.parametrize("length", [0, -1, SIZE + 1])
async def test_a_length_that_cannot_be_is_refused(store: Store, length: int) -> None:
    with pytest.raises(InvalidInput):
        store.reserve(block_id(1), length)
    assert store.used == 0


async def test_a_block_larger_than_the_quota_evicts_nothing(open_store: Opener) -> None:
    store = open_store(quota=4 * CHARGE)
    await keep(store, block_id(1))
    with pytest.raises(StoreFull, match="does not fit"):
        store.reserve(block_id(2, size=4 << 20), 4 << 20)
    assert block_id(1) in store
    assert store.evictions == 0


@pytest.mark.parametrize(
    ("refused", "length", "used"),
    [
        ("rename", SIZE, CHARGE),
        ("rename", 1000, charge_of(1000)),
        ("write", 1000, 0),
        ("write some", 1000, 0),
        ("write", SIZE, 0),
        ("write some", SIZE, 0),
    ],
)
async def test_a_block_that_cannot_be_kept_is_still_read(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: str,
    length: int,
    used: int,
) -> None:
    draft = fill(store.reserve(block_id(1), length))

    def full(*_: object) -> int:
        if refused == "write some":
            return 10
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, refused.split()[0], full)
        held = await draft.commit()
    assert is_right(held)
    assert held.checksums == checksums(held.view)
    assert block_id(1) not in store
    assert files(tmp_path / "cache") == []
    assert store.used == used, "a file is there until nobody reads it"
    held.release()
    assert store.used == 0
    assert store.failures == 1


async def test_a_file_that_cannot_be_removed_stays_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(store, block_id(1))

    def refuse(path: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        store.discard(block_id(1))
        draft = store.reserve(block_id(2), SIZE)
        draft.abort()
    assert block_id(1) not in store
    assert store.used == 2 * CHARGE


async def test_hashing_a_draft_leaves_the_loop_free(open_store: Opener) -> None:
    store = open_store(quota=80 << 20)
    size = 64 << 20
    draft = store.reserve(block_id(1, size=size), size)
    turns = 0
    async with asyncio.TaskGroup() as group:
        task = group.create_task(draft.commit())
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
    task.result().release()
    assert turns > 100


def test_the_kernel_counts_what_we_count(tmp_path: Path) -> None:
    for length in (1, 3999, 4000, 4001, SIZE):
        file = tmp_path / str(length)
        fd = os.open(file, os.O_RDWR | os.O_CREAT)
        os.posix_fallocate(fd, 0, length + trailer_size(length))
        assert os.fstat(fd).st_blocks * 512 <= charge_of(length)
        os.close(fd)
