"""The file format of a block: written down byte by byte, since old files are read by new agents."""

import struct

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from meshcache.block import PIECE_SIZE, checksums, piece_count
from meshcache.errors import ChecksumMismatch
from meshcache.store.trailer import data_length, decode, encode, trailer_size
from tests.support.blocks import SIZE, block_id, bytes_of


def test_the_trailer_is_as_its_table_says() -> None:
    identity = block_id(5)
    sums = checksums(memoryview(bytes_of(identity, 1000)))
    body = b"MeshBlk\x01" + identity.version + struct.pack("<QQQ", SIZE, identity.index, 1000)
    assert encode(identity, 1000, sums) == body + sums + blake3(body + sums).digest()
    assert decode(encode(identity, 1000, sums), identity, 1000) == sums


@given(st.integers(1, 64 << 20))
def test_the_datas_length_follows_from_the_files_size(length: int) -> None:
    assert data_length(length + trailer_size(length)) == length


@given(st.integers(0, 64 << 20))
def test_a_size_either_is_that_of_one_block_or_of_none(size: int) -> None:
    length = data_length(size)
    assert length is None or length + trailer_size(length) == size


@pytest.mark.parametrize("size", [0, 1, 96, 128])
def test_a_file_too_small_for_any_data_has_no_length(size: int) -> None:
    assert data_length(size) is None


def test_sizes_between_two_piece_counts_belong_to_no_block() -> None:
    last = PIECE_SIZE + trailer_size(PIECE_SIZE)
    assert data_length(last) == PIECE_SIZE
    assert [data_length(last + more) for more in range(1, 33)] == [None] * 32
    assert data_length(last + 33) == PIECE_SIZE + 1


def test_the_trailer_of_another_block_is_refused() -> None:
    sums = bytes(32 * piece_count(10))
    with pytest.raises(ChecksumMismatch):
        decode(encode(block_id(1), 10, sums), block_id(2), 10)
    with pytest.raises(ChecksumMismatch):
        decode(encode(block_id(1), 10, sums), block_id(1), 11)
