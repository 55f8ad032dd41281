"""kill -9 at any point loses nothing but time.

Two ways: a real process that is killed at random moments, many times over the same folder; and a
store that is stopped before and after each system call that changes the folder, one by one.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from meshcache.errors import MeshcacheError
from meshcache.store import Store, drafts
from meshcache.store.ledger import charge_of
from tests.support.blocks import SIZE, block_id, fill, is_right

CHARGE = charge_of(SIZE)
QUOTA = 6 * CHARGE
ROUNDS = 25

WRITER = """
import asyncio, itertools, random, sys
from pathlib import Path
from meshcache.errors import StoreFull
from meshcache.store import Store, drafts
from tests.support.blocks import SIZE, block_id, fill

async def main():
    rng = random.Random(int(sys.argv[3]))
    store = Store.open(Path(sys.argv[1]), int(sys.argv[2]))
    print("open", flush=True)
    async def one():
        while True:
            identity = block_id(rng.randrange(30))
            length = rng.choice([1, 5000, SIZE - 1, SIZE])
            try:
                draft = store.reserve(identity, length)
            except StoreFull:
                await asyncio.sleep(0)
                continue
            if rng.random() < 0.2:
                draft.abort()
                continue
            held = await fill(draft).commit()
            if rng.random() < 0.2:
                store.discard(identity)
            held.release()
            if (held := await store.lend(block_id(rng.randrange(30)))) is not None:
                held.release()
    await asyncio.gather(one(), one(), one())

asyncio.run(main())
"""


def on_disk(folder: Path) -> int:
    """Bytes allocated for all blocks and drafts that have a name."""
    files = [file for part in ("blocks", "tmp") for file in (folder / part).rglob("*-*")]
    return sum(file.stat().st_blocks * 512 for file in files)


async def check_all(store: Store) -> int:
    """Every block that is listed is lent, and right."""
    identities = list(store.ids())
    for identity in identities:
        held = await store.lend(identity)
        assert held is not None, identity
        assert is_right(held)
        held.release()
    assert store.corrupt == store.failures == 0
    return len(identities)


async def test_a_process_killed_at_any_moment_leaves_whole_blocks_only(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    folder = tmp_path / "cache"
    found, store_ids = 0, set()
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", WRITER, str(folder), str(QUOTA), str(rng.getrandbits(32))]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"open\n"
            time.sleep(rng.uniform(0, 0.15))
            writer.kill()
            assert writer.wait() == -9
        assert on_disk(folder) <= QUOTA
        store = Store.open(folder, QUOTA)
        try:
            store_ids.add(store.store_id)
            assert list((folder / "tmp").iterdir()) == []
            assert store.used == on_disk(folder) <= QUOTA
            found += await check_all(store)
        finally:
            store.close()
    assert len(store_ids) == 1
    assert found > ROUNDS


class Stop(BaseException):
    """The process ends here."""


CHANGES = (
    *("open", "posix_fallocate", "write", "utime", "rename", "unlink", "mkdir", "chmod"),
    "ftruncate",
)


@contextmanager
def stopping_at(number: int, *, after: bool) -> Iterator[list[str]]:
    """Make the `number`-th call that may change the folder the last, before or after its effect.
    Yields the calls made."""
    made: list[str] = []

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            made.append(name)
            if len(made) > number:
                raise Stop  # a dead process does nothing more
            if len(made) == number and not after:
                raise Stop
            result = real(*arguments, **more)
            if len(made) == number:
                raise Stop
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, wrap(name, getattr(os, name)))
        yield made


def copy_files(folder: Path, copy: Path) -> None:
    """Make `copy`'s files those of the folder, of which a stopped store here has the lock."""
    for file in [file for file in copy.rglob("*") if file.is_file()]:
        file.unlink()
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        (copy / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy / file.relative_to(folder))


async def a_life(folder: Path) -> None:
    """All that a store does with its folder: open, keep, evict, replace, abort, discard, close."""
    store = Store.open(folder, 2 * CHARGE)
    for number in (0, 1, 2, 2):
        (await fill(store.reserve(block_id(number), SIZE)).commit()).release()
    store.reserve(block_id(3), SIZE).abort()
    store.discard(block_id(2))
    held = await store.lend(block_id(1))
    if held is not None:
        held.release()
    store.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("in_memory", "filled_by"), [(SIZE, "write"), (0, "posix_fallocate")])
async def test_a_stop_at_each_change_of_the_folder_leaves_whole_blocks_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int, filled_by: str
) -> None:
    monkeypatch.setattr(drafts, "IN_MEMORY", in_memory)
    with stopping_at(1 << 30, after=False) as made:
        await a_life(tmp_path / "whole")
    total = len(made)
    assert {"open", filled_by, "utime", "rename", "unlink", "mkdir"} <= set(made)
    # The 256 folders are made one by one, all alike: try the first of them and the last.
    points = [n for n in range(1, total + 1) if made[n - 1] != "mkdir" or n < 6]
    copy = tmp_path / "copy"
    for number in points:
        for after in (False, True):
            folder = tmp_path / f"{number}-{after}"
            with stopping_at(number, after=after), pytest.raises((Stop, MeshcacheError)):
                await a_life(folder)
            copy_files(folder, copy)
            assert on_disk(copy) <= 2 * CHARGE
            store = Store.open(copy, 2 * CHARGE)
            assert list((copy / "tmp").iterdir()) == []
            assert store.used == on_disk(copy)
            await check_all(store)
            store.close()
            shutil.rmtree(folder, ignore_errors=True)
