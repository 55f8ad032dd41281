"""Every member computes its own share, and together they are the whole, each block R times."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.loads.selection import Selection, select
from meshcache.agent.loads.share import CHUNK, chunks, share_of
from meshcache.agent.loads.spec import Target
from meshcache.block import MIN_BLOCK_SIZE, Block
from meshcache.placement import Candidate, Placement
from tests.loads.snapshots import snapshot_of

sizes = st.dictionaries(
    st.sampled_from([f"{folder}/{n}" for folder in "abc" for n in range(5)]),
    st.integers(0, 5 * MIN_BLOCK_SIZE),
    min_size=1,
)


@given(sizes, st.integers(1, 6), st.integers(1, 4), st.integers(0, 3))
def test_shares_add_up_to_each_block_at_its_first_owners(
    files: dict[str, int], members: int, replicas: int, own: int
) -> None:
    snapshot = snapshot_of(files)
    placement = Placement([Candidate(f"{n:032x}", 1.0 + n, f"z{n % 2}") for n in range(members)])
    some = next(iter(files))
    selected = select(snapshot, Selection((Target("/"), Target(some, own))))
    taken: Counter[Block] = Counter()
    for store in placement.store_ids:
        for chunk in chunks(snapshot, selected, MIN_BLOCK_SIZE, replicas):
            for block in share_of(placement, store, chunk):
                count = own if own and block.file.key == some else replicas
                assert store in placement.rank(block.id, count)
                taken[block] += 1
    for path in files:
        count = own if own and path == some else replicas
        for block in snapshot.file(snapshot.resolve(path)).blocks(MIN_BLOCK_SIZE):
            assert taken.pop(block) == min(count, members)
    assert not taken


def test_a_large_share_comes_in_chunks_in_the_order_of_the_files() -> None:
    snapshot = snapshot_of({"a": 3 * MIN_BLOCK_SIZE * CHUNK // 2, "b": 1})
    selected = select(snapshot, Selection((Target("/"),)))
    parts = list(chunks(snapshot, selected, MIN_BLOCK_SIZE, 1))
    assert [len(part) for part in parts] == [CHUNK, CHUNK // 2 + 1]
    blocks = [block for part in parts for block in part.blocks(np.ones(len(part), np.bool_))]
    order = [(block.file.key, block.index) for block in blocks]
    assert [block.length for block in blocks] == [n for part in parts for n in part.lengths]
    assert order == sorted(order)


def test_who_owns_nothing_has_no_share() -> None:
    snapshot = snapshot_of({"a": 1})
    (chunk,) = chunks(snapshot, select(snapshot, Selection((Target("/"),))), MIN_BLOCK_SIZE, 1)
    assert share_of(Placement([]), "f" * 32, chunk) == []
    assert share_of(Placement([Candidate("e" * 32, 1.0)]), "f" * 32, chunk) == []
