"""Summaries lie on pages that fit into the map, and stay where they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.held.followed import Followed, mark, summarise
from meshcache.agent.held.sample import MAX_LEVEL, Sample
from meshcache.agent.held.summary import (
    FLOOD_BYTES,
    MESH_BYTES,
    PAGE_BYTES,
    Page,
    Summary,
    decode_page,
    encode_page,
    lay_out,
    pause,
    room,
    size_of,
)
from meshcache.block import MIN_BLOCK_SIZE
from meshcache.traffic import Traffic
from tests.held.listings import blocks_of, chosen, snapshot_of

STORE = "ab" * 16

SIZES = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(1, 2200))


@given(before=SIZES, after=SIZES)
def test_every_summary_stands_on_one_page_that_it_fits_on_and_stays_there(
    before: dict[str, int], after: dict[str, int]
) -> None:
    pages = lay_out(before, [])
    later = lay_out(after, pages)
    assert sorted(uid for page in later for uid in page) == sorted(after)
    assert all(sum(after[uid] for uid in page) <= PAGE_BYTES - 48 for page in later)
    assert len(later) >= len(pages)
    same = {uid for uid in before.keys() & after.keys() if after[uid] <= before[uid]}
    for old, new in zip(pages, later, strict=False):
        if all(uid in same for uid in old):
            assert set(old) <= set(new)


def followed(files: int, share: float, seed: int) -> Followed:
    snapshot = snapshot_of([100_000] * files)
    one = Followed(snapshot.id, Sample.of(snapshot, MIN_BLOCK_SIZE))
    ids = chosen(blocks_of(snapshot, MIN_BLOCK_SIZE), share, seed)
    mark([], {}, [one], ids)
    return one


def test_what_does_not_fit_is_told_of_fewer_points_and_last_of_all_left_out() -> None:
    datasets = {f"d{number}": followed(9000, 0.5, number) for number in range(4)}
    wide = summarise(datasets, {}, 1 << 20)
    assert {summary.level for summary in wide.values()} == {0}
    assert sum(map(size_of, wide.values())) > 4 * 1000
    narrow = summarise(datasets, {}, 1000)
    assert sum(map(size_of, narrow.values())) <= 1000
    assert narrow.keys() == datasets.keys()
    assert all(0 < summary.level <= MAX_LEVEL for summary in narrow.values())
    assert not summarise(datasets, {}, 10)


def test_a_dataset_that_is_neither_held_nor_read_is_not_told_of() -> None:
    datasets = {"a": followed(10, 0, 1), "b": followed(10, 0, 2), "c": followed(10, 1, 3)}
    told = summarise(datasets, {"b": Traffic(fetched=1), "a": Traffic()}, 4000)
    assert told.keys() == {"b", "c"}


def test_the_largest_page_fits_into_the_map() -> None:
    worst = Traffic(*[2**62] * 6)
    summary = Summary("0" * 16, bytes(8), 0, bytes(2049), worst)
    sizes = {str(number): size_of(summary) for number in range(4)}
    for page in lay_out(sizes, []):
        data = encode_page(Page(STORE, (summary,) * len(page)))
        assert len(data) <= PAGE_BYTES
        assert decode_page(data).summaries == (summary,) * len(page)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x93\x01\x02\x03", b"\x92\xa0\x91\x90"])
def test_a_page_that_cannot_be_read_is_nobodys(data: bytes) -> None:
    assert decode_page(data) == Page("", ())


def test_the_mesh_bears_what_its_members_tell() -> None:
    for members in (1, 3, 100, 1000, 5000):
        assert PAGE_BYTES - 48 <= room(members) <= 16 * PAGE_BYTES
        if members <= MESH_BYTES // PAGE_BYTES:
            assert members * room(members) <= MESH_BYTES
        for written in (0, 200, 4000, 60_000):
            assert members * written / pause(members, written) <= FLOOD_BYTES
            assert pause(members, written) >= 1.0
