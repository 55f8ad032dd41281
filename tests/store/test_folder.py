"""The cache folder: whose it is, what of it is ours, and what we say when it cannot be used."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshcache.errors import InvalidInput, StoreFull, StoreUnusable
from meshcache.store import Store
from meshcache.store.drafts import IN_MEMORY
from meshcache.store.ledger import charge_of
from meshcache.units import MIB
from tests.store.conftest import Clock, Opener
from tests.support.blocks import SIZE, block_id, fill, is_right, keep

CHARGE = charge_of(SIZE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


async def test_only_the_owner_can_see_anything(store: Store, folder: Path) -> None:
    await keep(store, block_id(1))
    draft = store.reserve(block_id(2), SIZE)
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    draft.abort()


def test_a_folder_that_was_open_to_others_is_closed_to_them(
    open_store: Opener, folder: Path
) -> None:
    folder.mkdir(mode=0o755)
    (folder / "blocks").mkdir(mode=0o755)
    open_store()
    assert (folder / "blocks").stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_mode & 0o777 == 0o755  # it may be a mountpoint, and is not ours


def test_the_store_id_is_random_and_stays(open_store: Opener, tmp_path: Path, clock: Clock) -> None:
    here = open_store(folder=tmp_path / "here")
    there = open_store(folder=tmp_path / "there")
    assert here.store_id != there.store_id
    assert len(bytes.fromhex(here.store_id)) == 16
    assert here.created == clock.time
    seeded = Store.open(tmp_path / "seeded", 8 * MIB, rng=random.Random(7))
    seeded.close()
    assert seeded.store_id == f"{random.Random(7).getrandbits(128):032x}"


def test_a_second_agent_on_the_same_folder_is_refused(open_store: Opener) -> None:
    first = open_store()
    with pytest.raises(StoreUnusable, match=f"another agent \\(process {os.getpid()}\\)"):
        open_store()
    first.close()
    open_store()


def test_an_agent_in_another_process_is_refused_until_it_dies(
    open_store: Opener, folder: Path
) -> None:
    script = (
        "import sys; from pathlib import Path; from meshcache.store import Store\n"
        "store = Store.open(Path(sys.argv[1]), 8 << 20)\n"
        "print(store.store_id, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as agent:
        assert agent.stdout is not None
        store_id = agent.stdout.readline().decode().strip()
        with pytest.raises(StoreUnusable, match=f"process {agent.pid}"):
            open_store()
        agent.kill()
        agent.wait()
        assert open_store().store_id == store_id


async def test_what_is_not_ours_is_left_alone_and_not_counted(
    open_store: Opener, folder: Path
) -> None:
    first = open_store()
    await keep(first, block_id(1))
    first.close()
    name = str(block_id(1))
    shard = folder / "blocks" / name[:2]
    strangers = [
        folder / "notes.txt",
        folder / "snapshots" / "abc",
        folder / "tmp" / "mine",
        folder / "blocks" / "README",
        folder / "blocks" / "zz" / name,
        shard / "lost+found",
        shard / f"{name}.bak",
        shard / name.upper(),
        shard / f"{name[:64]}-{SIZE}-007",
        shard / f"{name[:64]}-+262144-1",
        folder / "blocks" / ("00" if name[:2] != "00" else "01") / name,
    ]
    for stranger in strangers:
        stranger.parent.mkdir(exist_ok=True)
        stranger.write_bytes(b"x" * 5000)
    a_folder = shard / f"{name[:64]}-{SIZE}-1000"
    a_folder.mkdir()
    a_link = shard / f"{name[:64]}-{SIZE}-1001"
    a_link.symlink_to(shard / name)
    store = open_store(quota=CHARGE)
    assert list(store.ids()) == [block_id(1)]
    assert store.used == CHARGE
    await keep(store, block_id(2))
    assert list(store.ids()) == [block_id(2)]
    assert all(stranger.read_bytes() == b"x" * 5000 for stranger in strangers)
    assert a_folder.is_dir()
    assert a_link.is_symlink()


def test_drafts_of_a_killed_agent_are_removed(open_store: Opener, folder: Path) -> None:
    open_store().close()
    for name in ("draft-1", "draft-77", "identity-1"):
        (folder / "tmp" / name).write_bytes(b"half")
    store = open_store()
    assert list((folder / "tmp").iterdir()) == []
    assert store.used == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"store_id": 5}', "cannot be read"),
        (json.dumps({"store_id": "ab" * 16, "created": 1.0, "format": 2}).encode(), "format 2"),
        (json.dumps({"store_id": "../x", "created": 1.0}).encode(), "no valid store id"),
    ],
)
def test_an_identity_that_cannot_be_read_is_refused(
    open_store: Opener, folder: Path, content: bytes, message: str
) -> None:
    open_store().close()
    (folder / "store.json").write_bytes(content)
    with pytest.raises(StoreUnusable, match=message) as caught:
        open_store()
    assert "\n" not in str(caught.value)
    # The refused folder is not left locked.
    (folder / "store.json").unlink()
    open_store()


def test_a_file_in_the_folders_place_is_refused(open_store: Opener, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreUnusable, match="a file is in its place"):
            open_store(folder=place)


def test_a_folder_that_cannot_be_made_is_refused(open_store: Opener) -> None:
    with pytest.raises(StoreUnusable, match="cache folder /proc/nowhere"):
        open_store(folder=Path("/proc/nowhere"))


@pytest.mark.parametrize("quota", [1, SIZE, CHARGE - 1])
def test_a_quota_smaller_than_a_block_is_refused(
    open_store: Opener, folder: Path, quota: int
) -> None:
    with pytest.raises(InvalidInput, match="holds no block"):
        open_store(quota=quota)
    assert not folder.exists()
    open_store(quota=CHARGE)


def test_opening_looks_into_no_block(open_store: Opener, folder: Path) -> None:
    """250,000 blocks must open in seconds: one stat for each, no open, no read."""
    open_store().close()
    for number in range(3000):
        name = str(block_id(number))
        file = folder / "blocks" / name[:2] / name
        with file.open("wb") as out:
            out.truncate(SIZE + 96 + 32)
    opened: list[object] = []
    real = os.open

    def counted(path: str, *rest: int, **more: int) -> int:
        opened.append(path)
        return real(path, *rest, **more)

    patch = pytest.MonkeyPatch()
    patch.setattr(os, "open", counted)
    try:
        store = open_store(quota=3000 * CHARGE)
    finally:
        patch.undo()
    assert store.blocks == 3000
    assert opened == [folder / "lock"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    if os.geteuid() != 0:
        pytest.skip("needs the right to mount")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, timeout=10, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, timeout=10)


async def test_on_a_full_disk_blocks_are_lent_without_being_kept(
    open_store: Opener, tiny_disk: Path
) -> None:
    store = open_store(quota=100 * MIB, folder=tiny_disk / "cache")
    loans = [await fill(store.reserve(block_id(number), SIZE)).commit() for number in range(20)]
    kept = [held for held in loans if held.id in store]
    assert 5 <= len(kept) < 20
    assert store.failures == 20 - len(kept)
    assert list((tiny_disk / "cache" / "tmp").iterdir()) == []
    assert store.used == len(kept) * CHARGE
    with pytest.raises(StoreFull, match="No space left on device"):
        store.reserve(block_id(20, size=2 * IN_MEMORY), 2 * IN_MEMORY)  # allocated at once
    for held in loans:
        assert is_right(held)
        held.release()


async def test_on_a_disk_smaller_than_the_quota_the_oldest_block_makes_room(
    open_store: Opener, tiny_disk: Path
) -> None:
    store = open_store(quota=100 * MIB, folder=tiny_disk / "cache")
    for number in range(20):
        await keep(store, block_id(number))
    assert block_id(19) in store
    assert block_id(0) not in store
    assert store.evictions == 20 - store.blocks
    # Somebody else fills the disk: no more than one block's worth is given up for nothing.
    with (tiny_disk / "hog").open("wb") as hog:
        blocks = store.blocks
        for identity in list(store.ids())[:2]:
            store.discard(identity)
        free = os.statvfs(tiny_disk)
        os.posix_fallocate(hog.fileno(), 0, free.f_bavail * free.f_frsize)
        (await store.lend(block_id(19)) or pytest.fail("block 19 is gone")).release()
        await keep(store, block_id(50))
        assert block_id(50) in store
        assert store.blocks == blocks - 2


def test_a_disk_too_full_for_a_store_is_refused(open_store: Opener, tiny_disk: Path) -> None:
    with (tiny_disk / "hog").open("wb") as hog:
        free = os.statvfs(tiny_disk)
        os.posix_fallocate(hog.fileno(), 0, free.f_bavail * free.f_frsize)
        with pytest.raises(StoreUnusable, match="No space left on device"):
            open_store(folder=tiny_disk / "cache")
