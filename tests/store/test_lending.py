"""Loans: what is lent stays as it is, and counts, until the last that reads it is gone."""

import asyncio
import gc
import mmap
import os
import threading
from pathlib import Path

import pytest

from meshcache.block import checksums
from meshcache.errors import StoreFull
from meshcache.store import Held, Store
from meshcache.store import store as store_module
from meshcache.store.ledger import charge_of
from tests.store.conftest import Clock, Opener
from tests.support.blocks import SIZE, block_id, bytes_of, fill, is_right, keep
from tests.support.wait import eventually

CHARGE = charge_of(SIZE)


async def lent(store: Store, number: int) -> Held:
    held = await store.lend(block_id(number))
    assert held is not None
    return held


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_a_block_that_is_not_here_is_none(store: Store) -> None:
    assert await store.lend(block_id(1)) is None


@pytest.mark.parametrize("length", [1, 4096, SIZE - 1, SIZE])
async def test_what_was_committed_is_lent(store: Store, length: int) -> None:
    committed = await fill(store.reserve(block_id(1), length)).commit()
    held = await store.lend(block_id(1))
    assert held is not None
    for loan in (committed, held):
        assert loan.length == length
        assert loan.checksums == checksums(memoryview(bytes_of(block_id(1), length)))
        assert is_right(loan)
        assert os.pread(loan.fileno(), length, 0) == bytes_of(block_id(1), length)
        loan.release()
    assert block_id(1) in store
    assert list(store.ids()) == [block_id(1)]
    assert store.blocks == 1


async def test_a_loan_can_only_be_read(store: Store) -> None:
    await keep(store, block_id(1))
    with await lent(store, 1) as held:
        assert held.view.readonly
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(held.fileno(), b"x", 0)
        with pytest.raises(PermissionError):
            mmap.mmap(held.fileno(), SIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


async def test_a_released_loan_shows_nothing_and_may_be_released_again(store: Store) -> None:
    await keep(store, block_id(1))
    held = await lent(store, 1)
    held.release()
    held.release()
    for use in (held.fileno, held.share, lambda: held.view, lambda: held.length):
        with pytest.raises(ValueError, match="released"):
            use()


async def test_a_pinned_block_stays_and_holds_no_descriptor(open_store: Opener) -> None:
    store = open_store(quota=2 * CHARGE)
    await keep(store, block_id(1))
    before = descriptors()
    held = await lent(store, 1)
    shared = held.share()
    pin = held.pinned()
    assert is_right(shared), "other loans are as they were"
    shared.release()
    assert descriptors() == before
    with pytest.raises(ValueError, match="released"):
        held.fileno()
    for number in (2, 3):
        await keep(store, block_id(number))
    assert block_id(1) in store, "others were evicted before it"
    with await lent(store, 1) as again:
        assert is_right(again)
    store.discard(block_id(1))
    assert store.used == 2 * CHARGE, "somebody has it mapped"
    pin.release()
    pin.release()
    assert store.used == CHARGE


async def test_the_end_of_a_pin_counts_as_a_use(
    open_store: Opener, clock: Clock, tmp_path: Path
) -> None:
    store = open_store()
    await keep(store, block_id(1))
    pin = (await lent(store, 1)).pinned()
    clock.time += 1000
    pin.release()
    (file,) = (tmp_path / "cache" / "blocks").glob(f"*/{block_id(1)}")
    assert file.stat().st_mtime == clock.time


async def test_loans_of_one_block_share_one_descriptor_and_end_on_their_own(store: Store) -> None:
    await keep(store, block_id(1))
    first = await lent(store, 1)
    second, third = first.share(), await lent(store, 1)
    assert first.fileno() == second.fileno() == third.fileno()
    first.release()
    second.release()
    assert is_right(third)
    third.release()


async def test_no_descriptor_is_left_when_all_loans_are_released(store: Store) -> None:
    await keep(store, block_id(1))
    before = descriptors()
    loans = [await lent(store, 1) for _ in range(3)]
    assert all(is_right(loan) for loan in loans)
    for loan in loans:
        loan.release()
    assert descriptors() == before


async def test_a_lent_block_is_not_evicted(open_store: Opener) -> None:
    store = open_store(quota=2 * CHARGE)
    await keep(store, block_id(1))
    await keep(store, block_id(2))
    with await lent(store, 1):
        await keep(store, block_id(3))
        assert set(store.ids()) == {block_id(1), block_id(3)}
        with await lent(store, 3), pytest.raises(StoreFull, match="in use"):
            store.reserve(block_id(4), SIZE)


async def test_a_view_in_use_outlives_its_loan_and_keeps_the_block(open_store: Opener) -> None:
    """aiohttp may still be writing a response when the request's loan is released."""
    store = open_store(quota=CHARGE)
    await keep(store, block_id(1))
    held = await lent(store, 1)
    writing = held.view[10:20]
    held.release()
    with pytest.raises(StoreFull):
        store.reserve(block_id(2), SIZE)
    store.discard(block_id(1))
    assert store.used == CHARGE
    assert bytes(writing) == bytes_of(block_id(1), SIZE)[10:20]
    del writing
    assert store.used == 0
    await keep(store, block_id(2))


async def test_a_view_may_die_in_another_thread(open_store: Opener) -> None:
    store = open_store(quota=CHARGE)
    await keep(store, block_id(1))
    held = await lent(store, 1)
    box = [held.view]
    held.release()
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    await keep(store, block_id(2))


async def test_a_discarded_block_is_gone_but_its_loans_are_good(store: Store) -> None:
    await keep(store, block_id(1))
    held = await lent(store, 1)
    store.discard(block_id(1))
    store.discard(block_id(1))
    assert block_id(1) not in store
    assert await store.lend(block_id(1)) is None
    assert is_right(held)
    assert store.used == CHARGE
    held.release()
    assert store.used == 0


async def test_a_block_that_was_discarded_while_lent_can_come_again(store: Store) -> None:
    await keep(store, block_id(1))
    old = await lent(store, 1)
    store.discard(block_id(1))
    await keep(store, block_id(1))
    new = await lent(store, 1)
    assert new.fileno() != old.fileno()
    assert is_right(old)
    assert is_right(new)
    assert store.used == 2 * CHARGE
    old.release()
    assert store.used == CHARGE
    new.release()
    assert block_id(1) in store


async def test_loans_are_good_after_close(store: Store) -> None:
    await keep(store, block_id(1))
    held = await lent(store, 1)
    store.close()
    assert await store.lend(block_id(1)) is None
    assert is_right(held)
    held.release()


async def test_a_block_is_checked_once_for_all_who_ask_after_a_restart(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_store()
    await keep(first, block_id(1))
    first.close()
    reads: list[str] = []
    read = store_module._read

    def counted(place: str, *rest: object) -> tuple[int, int, bytes]:
        reads.append(Path(place).name)
        return read(place, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(store_module, "_read", counted)
    store = open_store()
    loans = await asyncio.gather(*(store.lend(block_id(1)) for _ in range(10)))
    assert all(loan is not None and is_right(loan) for loan in loans)
    for loan in loans:
        assert loan is not None
        loan.release()
    (await lent(store, 1)).release()
    assert reads == [str(block_id(1))]


async def test_waiters_that_give_up_leave_the_check_and_the_others_alone(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_store(quota=CHARGE)
    await keep(first, block_id(1))
    first.close()
    gate = threading.Event()
    read = store_module._read

    def held_up(*arguments: object) -> tuple[int, int, bytes]:
        gate.wait(10)
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store_module, "_read", held_up)
    store = open_store(quota=CHARGE)
    async with asyncio.TaskGroup() as group:
        quitter = group.create_task(store.lend(block_id(1)))
        waiter = group.create_task(store.lend(block_id(1)))
        await asyncio.sleep(0)
        quitter.cancel()
        await asyncio.sleep(0)
        with pytest.raises(StoreFull):  # what is being checked is in use
            store.reserve(block_id(2), SIZE)
        gate.set()
    held = waiter.result()
    assert held is not None
    assert is_right(held)
    held.release()

    gate.clear()
    store.close()
    store = open_store(quota=CHARGE)
    async with asyncio.TaskGroup() as group:
        only = group.create_task(store.lend(block_id(1)))
        await asyncio.sleep(0)
        only.cancel()
    gate.set()

    def evictable() -> bool:
        try:
            store.reserve(block_id(2), SIZE).abort()
        except StoreFull:
            return False
        return True

    await eventually(evictable)


async def test_without_descriptors_a_block_is_a_miss_but_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(store, block_id(1))

    def refuse(*arguments: object) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert await store.lend(block_id(1)) is None
    assert store.failures == 1
    (await lent(store, 1)).release()


async def test_a_file_that_somebody_removed_is_a_miss(store: Store, tmp_path: Path) -> None:
    await keep(store, block_id(1))
    for file in (tmp_path / "cache" / "blocks").rglob("*-*"):
        file.unlink()
    assert await store.lend(block_id(1)) is None
    assert block_id(1) not in store
    assert store.used == 0


async def test_a_forgotten_loan_is_told_and_given_back(open_store: Opener) -> None:
    store = open_store(quota=CHARGE)
    await keep(store, block_id(1))
    with pytest.warns(ResourceWarning, match="never released"):
        await lent(store, 1)
        gc.collect()
    await keep(store, block_id(2))


async def test_checking_a_block_leaves_the_loop_free(open_store: Opener) -> None:
    size = 64 << 20
    first = open_store(quota=80 << 20)
    big = block_id(1, size=size)
    (await first.reserve(big, size).commit()).release()
    first.close()
    store = open_store(quota=80 << 20)
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(store.lend(big))  # noqa: TID251
    turns, longest, last = 0, 0.0, loop.time()
    while not task.done():
        await asyncio.sleep(0)
        now = loop.time()
        turns, longest, last = turns + 1, max(longest, now - last), now
    held = task.result()
    assert held is not None
    held.release()
    assert turns > 100
    assert longest < 0.5
