"""Names: a version's id tells its states apart, a block's id is the same everywhere."""

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from meshcache.block import (
    CHECKSUM_SIZE,
    PIECE_SIZE,
    BlockId,
    FileVersion,
    block_count,
    check_block_size,
    checksums,
    piece_count,
)
from meshcache.errors import InvalidInput
from meshcache.units import KIB, MIB

FILE = FileVersion("s3://bucket", "a/b", "etag", 10 * MIB + 1)


def test_a_versions_id_is_fixed() -> None:
    # Recorded: blocks on disk are found again by it.
    assert FILE.id.hex() == ("80a0003f76987c99146d99bc7ec92b653733cdda2059a0d8882ba493609699d4")


@given(
    fields=st.lists(
        st.tuples(
            st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.integers(0, 99)
        ),
        min_size=2,
        max_size=2,
    )
)
def test_versions_that_differ_in_any_field_differ_in_their_id(
    fields: list[tuple[str, str, str, int]],
) -> None:
    first, second = (FileVersion(*values) for values in fields)
    assert (first.id == second.id) == (fields[0] == fields[1])


def test_moving_a_letter_from_one_field_to_the_next_gives_another_id() -> None:
    assert FileVersion("ab", "c", "t", 1).id != FileVersion("a", "bc", "t", 1).id


def test_a_key_that_is_no_utf8_has_an_id() -> None:
    key = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert len(FileVersion("s3://b", key, "t", 1).id) == 32


@given(st.binary(min_size=32, max_size=32), st.integers(1, 999_999_999), st.integers(0, 10**12 - 1))
def test_a_block_id_is_read_back(version: bytes, size: int, index: int) -> None:
    identity = BlockId(version, size, index)
    assert BlockId.parse(str(identity)) == identity


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc-1-2",
        "0" * 64,
        "0" * 63 + "-262144-0",
        "G" * 64 + "-262144-0",
        "A" * 64 + "-262144-0",
        "0" * 64 + "-262144--1",
        "0" * 64 + "-262144-0 ",
        "0" * 64 + "-262144-0\n",
        "0" * 64 + "-262144-" + "9" * 13,
        "../" + "0" * 64 + "-262144-0",
    ],
)
def test_what_is_no_block_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a block id"):
        BlockId.parse(text)


@given(size=st.integers(0, 5 * MIB), block_size=st.sampled_from([256 * KIB, MIB, 4 * MIB]))
def test_blocks_cover_a_file_without_gap_or_overlap(size: int, block_size: int) -> None:
    blocks = list(FileVersion("o", "k", "t", size).blocks(block_size))
    assert len(blocks) == block_count(size, block_size)
    at = 0
    for index, block in enumerate(blocks):
        assert (block.offset, block.index) == (at, index)
        assert 0 < block.length <= block_size
        at += block.length
    assert at == size
    assert len({block.id for block in blocks}) == len(blocks)


def test_a_block_that_the_file_does_not_have_is_refused() -> None:
    assert FILE.block(4 * MIB, 2).length == 2 * MIB + 1
    for index in (-1, 3):
        with pytest.raises(InvalidInput, match="has no block"):
            FILE.block(4 * MIB, index)


def test_an_empty_file_has_no_blocks() -> None:
    assert list(FileVersion("o", "k", "t", 0).blocks(MIB)) == []


@pytest.mark.parametrize("length", [0, 1, PIECE_SIZE, PIECE_SIZE + 1, 3 * PIECE_SIZE - 1])
def test_there_is_one_checksum_for_each_piece(length: int) -> None:
    data = blake3(b"data").digest(length)
    pieces = [data[at : at + PIECE_SIZE] for at in range(0, length, PIECE_SIZE)]
    assert checksums(memoryview(data)) == b"".join(blake3(piece).digest() for piece in pieces)
    assert len(pieces) == piece_count(length)
    assert len(checksums(memoryview(data))) == CHECKSUM_SIZE * piece_count(length)


def test_block_sizes_are_powers_of_two_within_limits() -> None:
    for size in (256 * KIB, 4 * MIB, 64 * MIB):
        assert check_block_size(size) == size
    for size in (0, -1, 128 * KIB, 3 * MIB, 128 * MIB, 4 * MIB + 1):
        with pytest.raises(InvalidInput, match="power of two"):
            check_block_size(size)
