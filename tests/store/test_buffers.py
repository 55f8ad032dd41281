"""Memory that blocks are received in: used again, and given back."""

import threading

import numpy as np
import numpy.typing as npt
import pytest

from meshcache.store import buffers
from meshcache.store.buffers import KEPT, Buffers
from tests.support.wait import eventually

MIB = 1 << 20


def place(memory: npt.NDArray[np.uint8]) -> int:
    """Where it lies."""
    return memory.ctypes.data


async def test_a_buffer_is_used_again_once_its_last_view_is_gone() -> None:
    some = Buffers(4 * MIB, 4096)
    first = some.take(4 * MIB + 100)
    assert len(first) == 4 * MIB + 100
    where, view = place(first), first.data[:5]
    del first
    second = some.take(MIB)
    assert place(second) != where, "somebody still looks at it"
    view.release()
    assert place(some.take(3 * MIB)) == where


async def test_few_are_kept() -> None:
    some = Buffers(4 * MIB, 4096)
    taken = [some.take(MIB) for _ in range(3 * KEPT)]
    del taken
    assert len(some._spare) == KEPT


async def test_one_that_is_let_go_by_a_thread_is_used_again() -> None:
    some = Buffers(4 * MIB, 4096)
    box = [some.take(MIB)]
    where = place(box[0])
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    assert place(some.take(MIB)) == where


async def test_they_go_back_when_no_block_has_come_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buffers, "IDLE", 0.05)
    some = Buffers(4 * MIB, 4096)
    slow = some.take(MIB)
    some.take(MIB)
    assert some._spare
    await eventually(lambda: not some._spare)
    old = some._spare
    del slow
    assert not some._spare, "one that was in use then goes with its user"
    assert some._spare is old
