"""Blocks in memory, for reading on when the store is full."""

import mmap
import os

import pytest

from meshcache.block import checksums
from meshcache.errors import ChecksumMismatch, EnvironmentUnfit, InvalidInput, StoreFull
from meshcache.store import memory_draft
from tests.store.test_lending import descriptors
from tests.support.blocks import SIZE, block_id, bytes_of, fill, is_right


@pytest.mark.parametrize("length", [1, SIZE])
async def test_a_memory_block_is_lent_like_any_other(length: int) -> None:
    before = descriptors()
    expected = checksums(memoryview(bytes_of(block_id(1), length)))
    held = await fill(memory_draft(block_id(1), length)).commit(expected)
    assert held.length == length
    assert held.checksums == expected
    assert is_right(held)
    assert os.pread(held.fileno(), length, 0) == bytes_of(block_id(1), length)
    second = held.share()
    held.release()
    assert is_right(second)
    view = second.view[:5]
    second.release()
    assert bytes(view) == bytes_of(block_id(1), length)[:5]
    del view
    assert descriptors() == before


async def test_nobody_can_write_or_cut_a_memory_block() -> None:
    draft = fill(memory_draft(block_id(1), SIZE))
    late = draft.view[:1]
    held = await draft.commit()
    # Even who opens the descriptor again for writing (as root may) finds it sealed.
    again = os.open(f"/proc/self/fd/{held.fileno()}", os.O_RDWR)
    with pytest.raises(PermissionError):
        os.pwrite(again, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(again, 0)
    with pytest.raises(PermissionError):
        mmap.mmap(again, SIZE)
    os.close(again)
    assert os.fstat(held.fileno()).st_mode & 0o777 == 0o400
    late.release()
    held.release()


async def test_a_memory_draft_that_is_aborted_or_wrong_leaves_nothing() -> None:
    before = descriptors()
    memory_draft(block_id(1), SIZE).abort()
    with pytest.raises(ChecksumMismatch, match="piece 0"):
        await memory_draft(block_id(1), SIZE).commit(bytes(32))
    draft = memory_draft(block_id(1), SIZE)
    draft.abort()
    with pytest.raises(StoreFull):
        await draft.commit()
    assert descriptors() == before


def test_a_memory_draft_of_a_length_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput):
        memory_draft(block_id(1), SIZE + 1)


def test_a_memory_draft_without_descriptors_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", refuse)
    with pytest.raises(EnvironmentUnfit, match="Too many open files"):
        memory_draft(block_id(1), SIZE)
