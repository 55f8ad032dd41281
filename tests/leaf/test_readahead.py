"""Readahead: streams are seen, windows grow and end, and random access costs nothing."""

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from meshcache.readahead import Readahead


def ahead(readahead: Readahead, reads: "list[int] | range") -> list[list[int]]:
    return [list(readahead.on_read(index)) for index in reads]


def test_a_window_doubles_from_two_to_its_limit() -> None:
    fetched = ahead(Readahead(window=8), range(8))
    assert fetched[0] == []
    assert fetched[1] == [2, 3]
    assert fetched[2] == [4, 5, 6]  # 4 ahead of block 2
    assert fetched[3] == [7, 8, 9, 10, 11]  # 8 ahead of block 3
    assert fetched[4:] == [[12], [13], [14], [15]]


def test_many_reads_of_one_block_are_one() -> None:
    reads = [0] * 32 + [1] * 32 + [2] * 32
    fetched = ahead(Readahead(), reads)
    assert fetched[32] == [2, 3]
    assert fetched[64] == [4, 5, 6]
    assert [number for number, blocks in enumerate(fetched) if blocks] == [32, 64]


def test_interleaved_streams_are_told_apart() -> None:
    starts = [0, 1000, 2000, 500, 7000, 3000, 4000, 9999]
    alone = ahead(Readahead(), range(20))
    readahead = Readahead(streams=8)
    for step in range(20):
        for start in starts:
            blocks = [block - start for block in readahead.on_read(start + step)]
            assert blocks == alone[step], (start, step)


def test_one_stream_more_than_are_remembered_costs_only_its_readahead() -> None:
    readahead = Readahead(streams=2)
    for index in range(5):
        readahead.on_read(index)
    ahead(readahead, [100, 200])
    assert list(readahead.on_read(5)) == []  # forgotten
    assert list(readahead.on_read(6)) == [7, 8]


def test_random_access_fetches_nothing() -> None:
    rng = random.Random(3)
    reads = rng.sample(range(0, 1_000_000, 3), 3000)
    assert ahead(Readahead(), reads) == [[]] * 3000


def test_strides_and_backward_reads_fetch_nothing() -> None:
    assert not any(ahead(Readahead(), range(0, 1000, 2)))
    assert not any(ahead(Readahead(), range(1000, 0, -1)))


def test_reads_slightly_out_of_order_are_one_stream() -> None:
    fetched = ahead(Readahead(window=8), [0, 1, 3, 2, 4, 6, 5, 7])
    blocks = list(itertools.chain(*fetched))
    assert blocks == sorted(set(blocks))
    assert blocks[0] == 2
    assert blocks[-1] == 15


def test_a_second_pass_is_a_stream_of_its_own() -> None:
    readahead = Readahead()
    first, second = ahead(readahead, range(20)), ahead(readahead, range(20))
    assert first == second


def test_a_window_of_nothing_fetches_nothing() -> None:
    assert not any(ahead(Readahead(window=0), range(100)))


@given(
    starts=st.lists(
        st.integers(0, 50).map(lambda n: n * 10_000), unique=True, min_size=1, max_size=4
    ),
    order=st.lists(st.integers(0, 3), max_size=200),
    window=st.integers(1, 32),
)
def test_no_block_is_asked_for_twice_nor_too_far_ahead(
    starts: list[int], order: list[int], window: int
) -> None:
    readahead = Readahead(window=window)
    at = dict.fromkeys(starts, -1)
    asked: set[int] = set()
    for choice in order:
        start = starts[choice % len(starts)]
        at[start] += 1
        index = start + at[start]
        blocks = readahead.on_read(index)
        assert not asked & set(blocks)
        assert all(index < block <= index + window for block in blocks)
        asked |= set(blocks)
        if at[start] >= 6:  # by then all that can be is asked for
            assert set(range(index + 1, index + 1 + window)) <= asked or window > 2 ** at[start]
