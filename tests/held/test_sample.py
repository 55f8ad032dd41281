"""A sample tells what is held: to the byte while blocks are few, to 2 % of any number of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshcache.agent.held.sample import MAX_LEVEL, POINTS, Sample, keys_of
from meshcache.block import MIN_BLOCK_SIZE
from meshcache.errors import InvalidInput
from meshcache.snapshot import Snapshot
from tests.held.listings import (
    blocks_of,
    chosen,
    estimate,
    other_block,
    snapshot_of,
    truth,
)

SIZE = MIN_BLOCK_SIZE

SHARES = st.one_of(st.floats(0, 1), st.sampled_from([0.001, 0.5, 0.999]))
SEEDS = st.integers(0, 2**32 - 1)


def sizes_of(
    kind: str, files: int, rng: np.random.Generator
) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    """The sizes of files, as little-endian columns have them."""
    if kind == "equal":
        return np.full(files, 100_000, dtype="<u8")
    if kind == "uniform":
        return rng.integers(0, 3 * SIZE, files).astype("<u8")
    return np.minimum(rng.lognormal(8, 3, files), 2**31).astype("<u8")


class Columns(Snapshot):
    """What a sample reads of a snapshot, without the files behind it: they may be a million."""

    def __init__(self, sizes: "np.ndarray[tuple[int], np.dtype[np.uint64]]", seed: int) -> None:
        self.size = sizes
        self.version = np.random.default_rng(seed).integers(1, 2**63, len(sizes)).astype("<u8")
        self.by_version = np.argsort(self.version).astype("<u4")


@given(
    sizes=st.lists(
        st.builds(
            lambda whole, tail: whole * SIZE + tail,
            st.integers(0, 4),
            st.one_of(st.just(0), st.integers(SIZE // 8, SIZE - 1)),
        ),
        max_size=60,
    ),
    share=SHARES,
    seed=SEEDS,
)
@settings(deadline=None, max_examples=60)
def test_of_few_blocks_it_is_exact(sizes: list[int], share: float, seed: int) -> None:
    snapshot = snapshot_of(sizes)
    held = chosen(blocks_of(snapshot, SIZE), share, seed)
    told = estimate(Sample.of(snapshot, SIZE), held)
    assert told == truth(snapshot, SIZE, held)


@given(
    files=st.integers(1, 300_000),
    kind=st.sampled_from(["equal", "uniform", "heavy"]),
    share=SHARES,
    seed=SEEDS,
)
@settings(deadline=None, max_examples=40)
def test_of_any_number_of_blocks_it_is_right_to_two_percent_of_the_whole(
    files: int, kind: str, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sizes = sizes_of(kind, files, rng)
    snapshot = Columns(sizes, seed)
    sample = Sample.of(snapshot, SIZE)
    counts = -(-sizes.astype(np.int64) // SIZE)
    rows = np.repeat(np.arange(files), counts)
    ordinals = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    lengths = np.minimum(SIZE, sizes.astype(np.int64)[rows] - ordinals * SIZE)
    held = rng.random(len(rows)) < share
    # By rows' versions and ordinals: making a million ids would take the time of the test.
    marks = sample.nothing()
    sample.mark(marks, keys(snapshot, rows[held], ordinals[held]), True)
    told = sample.at(0).bytes_of(sample.bits(marks, 0))
    assert abs(told - int(lengths[held].sum())) <= 0.02 * sample.total + 1


def keys(
    snapshot: Snapshot,
    rows: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    ordinals: "np.ndarray[tuple[int], np.dtype[np.int64]]",
) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    """What `keys_of` gives for those blocks."""
    from meshcache.agent.held import sample

    return sample._keys(
        snapshot.version[rows].astype(np.uint64),
        np.full(len(rows), SIZE, np.uint64),
        ordinals.astype(np.uint64),
    )


@given(level=st.integers(0, MAX_LEVEL), share=SHARES, seed=SEEDS)
@settings(deadline=None, max_examples=40)
def test_a_higher_level_is_of_the_same_blocks_and_its_error_grows_as_it_should(
    level: int, share: float, seed: int
) -> None:
    snapshot = snapshot_of([100_000] * 3000)
    held = chosen(blocks_of(snapshot, SIZE), share, seed)
    sample = Sample.of(snapshot, SIZE)
    told, right = estimate(sample, held, level), truth(snapshot, SIZE, held)
    assert set(sample.at(level).blocks) <= set(sample.at(max(level - 1, 0)).blocks)
    points = POINTS >> level
    error = (share * (1 - share) / points) ** 0.5
    assert abs(told - right) <= (6 * error + 1 / points) * sample.total


def test_all_is_all_and_nothing_is_nothing_at_every_level() -> None:
    snapshot = snapshot_of([100_001] * 20_000)
    ids = blocks_of(snapshot, SIZE)
    sample = Sample.of(snapshot, SIZE)
    for level in range(MAX_LEVEL + 1):
        assert estimate(sample, ids, level) == snapshot.bytes
        assert estimate(sample, [], level) == 0


def test_an_empty_dataset_has_an_empty_sample() -> None:
    for sizes in ([], [0, 0]):
        sample = Sample.of(snapshot_of(sizes), SIZE)
        assert (len(sample), estimate(sample, [other_block(1, SIZE)])) == (0, 0)
        assert len(Sample.decode(sample.encode())) == 0


def test_blocks_of_other_datasets_and_other_block_sizes_are_no_matter() -> None:
    snapshot = snapshot_of([3 * SIZE])
    sample = Sample.of(snapshot, SIZE)
    others = [other_block(n, SIZE) for n in range(100)] + blocks_of(snapshot, 2 * SIZE)
    assert estimate(sample, others) == 0
    assert estimate(sample, others + blocks_of(snapshot, SIZE)[:2]) == 2 * SIZE


def test_a_block_that_goes_is_not_counted_any_more() -> None:
    snapshot = snapshot_of([3 * SIZE])
    ids = blocks_of(snapshot, SIZE)
    sample = Sample.of(snapshot, SIZE)
    marks = sample.nothing()
    sample.mark(marks, keys_of(ids), True)
    sample.mark(marks, keys_of(ids[:2]), np.array([False, True]))
    assert sample.at(0).bytes_of(sample.bits(marks, 0)) == 2 * SIZE


def test_a_file_that_stands_at_two_paths_counts_at_both() -> None:
    snapshot = snapshot_of([SIZE, 2 * SIZE])
    again = Columns(np.array([SIZE, 2 * SIZE, SIZE], dtype="<u8"), 1)
    again.version = np.array([*snapshot.version[list(snapshot.walk())], 0], dtype="<u8")
    again.version[2] = again.version[0]
    ids = blocks_of(snapshot, SIZE)
    assert estimate(Sample.of(again, SIZE), ids[:1]) == 2 * SIZE


@given(sizes=st.lists(st.integers(0, 5 * SIZE), max_size=60), share=SHARES, seed=SEEDS)
@settings(deadline=None, max_examples=30)
def test_another_member_reads_the_same_sample(sizes: list[int], share: float, seed: int) -> None:
    snapshot = snapshot_of(sizes)
    held = chosen(blocks_of(snapshot, SIZE), share, seed)
    sample = Sample.of(snapshot, SIZE)
    data = sample.encode()
    assert estimate(Sample.decode(data), held) == estimate(sample, held)
    for wrong in (data[:-1], data + b"x", b"", b"\x93"):
        with pytest.raises(InvalidInput):
            Sample.decode(wrong)
