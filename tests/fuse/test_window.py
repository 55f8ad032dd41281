"""The window keeps what was used last, within its budget."""

from hypothesis import given
from hypothesis import strategies as st

from meshcache.fuse.window import Key, Mapped, Window
from meshcache.units import KIB, MIB


def block(inode: int, index: int, size: int = 10) -> Mapped:
    return Mapped((inode, index), memoryview(bytes(size)), lent=inode * 100 + index)


def test_the_block_that_was_used_longest_ago_goes_first() -> None:
    window = Window(30, 100)
    for index in range(3):
        assert window.add(block(1, index)) == []
    assert window.get((1, 0)) is not None
    assert [gone.key for gone in window.add(block(1, 3))] == [(1, 1)]
    assert (1, 0) in window
    assert window.bytes == 30


def test_one_block_is_kept_even_if_it_is_larger_than_the_budget() -> None:
    window = Window(5, 100)
    window.add(block(1, 0))
    assert [gone.key for gone in window.add(block(1, 1))] == [(1, 0)]
    assert (1, 1) in window


def test_a_block_that_comes_twice_is_counted_once_and_the_first_loan_goes_back() -> None:
    window = Window(100, 100)
    first, second = block(1, 0), block(1, 0)
    window.add(first)
    assert window.add(second) == [first]
    assert window.bytes == 10
    assert window.get((1, 0)) is second


@given(
    st.integers(1, 100),
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40)), max_size=60),
)
def test_the_budget_holds_and_every_block_is_either_kept_or_given_back(
    budget: int, most: int, adds: list[tuple[int, int]]
) -> None:
    window = Window(budget, most)
    gone: list[Mapped] = []
    added = [block(1, index, size) for index, size in adds]
    for one in added:
        gone += window.add(one)
        assert window.bytes == sum(len(kept.view) for kept in window)
        assert window.bytes <= budget or len(window) == 1
        assert len(window) <= most
    assert sorted(map(id, [*gone, *window])) == sorted(map(id, added))


def test_a_sequential_reader_is_seen_once_when_it_passes_the_middle() -> None:
    one = block(1, 0, 4 * MIB)
    seen = [one.crossed_middle(start, start + 128 * KIB) for start in range(0, 4 * MIB, 128 * KIB)]
    assert seen.index(True) == 15
    assert seen.count(True) == 1


def test_requests_out_of_order_are_still_sequential() -> None:
    one = block(1, 0, 4 * MIB)
    order = [1, 0, 3, 2, 5, 4]
    seen = [one.crossed_middle(n * 512 * KIB, (n + 1) * 512 * KIB) for n in order]
    assert True in seen


def test_a_reader_of_small_pieces_here_and_there_is_not_sequential() -> None:
    one = block(1, 0, 4 * MIB)
    starts = [3 * MIB, 100 * KIB, 3 * MIB + 500 * KIB, 0, 3 * MIB + 900 * KIB, 8 * KIB]
    assert not any(one.crossed_middle(start, start + 4 * KIB) for start in starts)


def test_a_key_is_the_inode_and_the_index() -> None:
    key: Key = (7, 3)
    assert block(7, 3).key == key
