"""What a restart finds: every whole block, in the order of use, and nothing that is not right."""

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshcache.block import PIECE_SIZE
from meshcache.errors import ChecksumMismatch
from meshcache.store import Store
from meshcache.store import store as store_module
from meshcache.store.ledger import charge_of
from meshcache.store.trailer import trailer_size, verify
from tests.store.conftest import Clock, Opener
from tests.support.blocks import SIZE, block_id, is_right, keep
from tests.support.wait import eventually

CHARGE = charge_of(SIZE)
Damage = Callable[[Path], None]


def file_of(store_folder: Path, number: int, size: int = SIZE) -> Path:
    name = str(block_id(number, size=size))
    return store_folder / "blocks" / name[:2] / name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


async def test_a_restart_keeps_identity_blocks_and_count(open_store: Opener, clock: Clock) -> None:
    first = open_store()
    for number in range(5):
        await keep(first, block_id(number), 1 + number * 60_000)
    before = (first.store_id, first.created, first.used, set(first.ids()))
    first.close()
    clock.time += 1000
    second = open_store()
    assert (second.store_id, second.created, second.used, set(second.ids())) == before
    for identity in before[3]:
        held = await second.lend(identity)
        assert held is not None
        assert is_right(held)
        held.release()
    assert second.corrupt == 0


async def test_the_order_of_use_survives(open_store: Opener, clock: Clock) -> None:
    first = open_store(quota=5 * CHARGE)
    for number in range(5):
        await keep(first, block_id(number))
        clock.time += 100
    held = await first.lend(block_id(0))
    assert held is not None
    held.release()
    first.close()
    clock.time += 100
    second = open_store(quota=5 * CHARGE)
    assert list(second.ids()) == [block_id(n) for n in (1, 2, 3, 4, 0)]
    await keep(second, block_id(9))
    assert block_id(1) not in second
    assert block_id(0) in second


async def test_a_hot_block_is_touched_on_disk_once_a_minute(
    open_store: Opener, folder: Path, clock: Clock
) -> None:
    store = open_store()
    await keep(store, block_id(1))
    file = file_of(folder, 1)
    times = []
    for _ in range(5):
        clock.time += 25
        held = await store.lend(block_id(1))
        assert held is not None
        held.release()
        times.append(round(file.stat().st_mtime - 1_800_000_000))
    assert times == [0, 0, 75, 75, 75]


async def test_a_smaller_quota_evicts_the_least_recently_used(
    open_store: Opener, folder: Path, clock: Clock
) -> None:
    first = open_store()
    for number in range(6):
        await keep(first, block_id(number))
        clock.time += 100
    first.close()
    second = open_store(quota=2 * CHARGE)
    assert list(second.ids()) == [block_id(4), block_id(5)]
    assert second.used == 2 * CHARGE
    assert second.evictions == 4
    assert second.evicted_bytes == 4 * CHARGE
    assert len(list((folder / "blocks").rglob("*-*"))) == 2


def flip(position: int) -> Damage:
    def damage(file: Path) -> None:
        data = bytearray(file.read_bytes())
        data[position] ^= 0x40
        file.write_bytes(data)

    return damage


def cut(size: int) -> Damage:
    return lambda file: os.truncate(file, size)


def zeroed(file: Path) -> None:
    """As after a power cut: allocated and named, never written."""
    file.write_bytes(bytes(file.stat().st_size))


def grown(file: Path) -> None:
    with file.open("ab") as out:
        out.write(b"\0" * 32)


WHOLE = 3 * PIECE_SIZE + 1000
TRAILER = trailer_size(WHOLE)
DAMAGES = {
    "first bit of the data": flip(0),
    "a piece in the middle": flip(PIECE_SIZE + 5),
    "last byte of the data": flip(WHOLE - 1),
    "magic": flip(WHOLE),
    "version in the trailer": flip(WHOLE + 8),
    "index in the trailer": flip(WHOLE + 48),
    "length in the trailer": flip(WHOLE + 56),
    "a checksum": flip(WHOLE + 64 + 40),
    "the trailer's checksum": flip(WHOLE + TRAILER - 1),
    "empty": cut(0),
    "one byte": cut(1),
    "half": cut(WHOLE // 2),
    "data without trailer": cut(WHOLE),
    "one byte short": cut(WHOLE + TRAILER - 1),
    "whole pieces and a size that could be": cut(2 * PIECE_SIZE + trailer_size(2 * PIECE_SIZE)),
    "grown": grown,
    "zeroed": zeroed,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_damaged_block_is_never_served(
    open_store: Opener, folder: Path, damage: Damage
) -> None:
    size = 4 * PIECE_SIZE
    first = open_store()
    await keep(first, block_id(1, size=size), WHOLE)
    await keep(first, block_id(3))
    first.close()
    file = file_of(folder, 1, size)
    damage(file)
    store = open_store()
    assert await store.lend(block_id(1, size=size)) is None
    assert block_id(1, size=size) not in store
    assert not file.exists()
    assert store.corrupt == 1
    held = await store.lend(block_id(3))
    assert held is not None
    assert is_right(held)
    held.release()
    # What was damaged can come again.
    await keep(store, block_id(1, size=size), WHOLE)
    held = await store.lend(block_id(1, size=size))
    assert held is not None
    assert is_right(held)
    held.release()


async def test_two_files_that_were_swapped_are_both_seen(open_store: Opener, folder: Path) -> None:
    first = open_store()
    for number in (1, 2):
        await keep(first, block_id(number))
    first.close()
    one, two = file_of(folder, 1), file_of(folder, 2)
    one.rename(folder / "aside")
    two.rename(one)
    (folder / "aside").rename(two)
    store = open_store()
    assert await store.lend(block_id(1)) is None
    assert await store.lend(block_id(2)) is None
    assert store.corrupt == 2
    assert store.used == 0


async def test_every_single_flipped_bit_of_a_small_block_is_seen(
    open_store: Opener, folder: Path
) -> None:
    first = open_store()
    await keep(first, block_id(1), 40)
    first.close()
    good = file_of(folder, 1).read_bytes()
    for bit in range(len(good) * 8):
        data = bytearray(good)
        data[bit // 8] ^= 1 << (bit % 8)
        file_of(folder, 1).write_bytes(data)
        if bit % 64 == 0:  # a restart for each bit would take long; the file is what matters
            store = open_store()
            assert await store.lend(block_id(1)) is None, bit
            store.close()
        else:
            with file_of(folder, 1).open("rb") as file, pytest.raises(ChecksumMismatch):
                verify(file.fileno(), block_id(1))


async def test_a_trailer_that_rots_while_the_agent_runs_is_seen_at_the_next_loan(
    store: Store, folder: Path
) -> None:
    await keep(store, block_id(1))
    file = file_of(folder, 1)
    fd = os.open(file, os.O_WRONLY)
    os.pwrite(fd, b"rot", SIZE + 70)
    os.close(fd)
    assert await store.lend(block_id(1)) is None
    assert store.corrupt == 1
    assert not file.exists()


async def test_a_damaged_block_that_is_replaced_while_it_is_checked_harms_not_the_new_one(
    open_store: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_store()
    await keep(first, block_id(1))
    first.close()
    flip(5)(file_of(folder, 1))
    gate, entered = threading.Event(), threading.Event()
    read = store_module._read

    def held_up(*arguments: Any) -> tuple[int, int, bytes]:
        try:
            return read(*arguments)
        finally:
            entered.set()
            gate.wait(10)

    monkeypatch.setattr(store_module, "_read", held_up)
    store = open_store()
    async with asyncio.TaskGroup() as group:
        checking = group.create_task(store.lend(block_id(1)))
        await eventually(entered.is_set)
        await keep(store, block_id(1))
        gate.set()
    assert checking.result() is None
    assert store.corrupt == 1
    assert store.used == CHARGE
    held = await store.lend(block_id(1))
    assert held is not None
    assert is_right(held)
    held.release()
    assert file_of(folder, 1).exists()
