"""The answer to FUSE_INIT passes on with higher limits and nothing else changed."""

import struct

import pytest

from meshcache.fuse.handshake import (
    CONGESTION_THRESHOLD,
    MAX_BACKGROUND,
    is_init,
    parse_answer,
    raise_limits,
)

# len, error, unique; major, minor, max_readahead, flags, max_background, congestion_threshold, ...
ANSWER = struct.pack("=IiQIIIIHHI", 40, 0, 2, 7, 39, 131072, 0xABCD, 0, 0, 1 << 20)


def test_only_the_two_limits_change() -> None:
    raised = raise_limits(ANSWER)
    fields = struct.unpack("=IiQIIIIHHI", raised)
    assert fields[7:9] == (MAX_BACKGROUND, CONGESTION_THRESHOLD)
    assert fields[:7] + fields[9:] == (40, 0, 2, 7, 39, 131072, 0xABCD, 1 << 20)


def test_an_answer_that_is_cut_off_or_no_answer_is_refused() -> None:
    assert parse_answer(ANSWER).error == 0
    assert parse_answer(struct.pack("=IiQ", 16, -71, 2)).error == 71
    for data in (b"", ANSWER[:10], ANSWER[:-1]):
        with pytest.raises(ValueError, match="an answer of"):
            parse_answer(data)


def test_a_short_answer_of_an_old_protocol_is_left_alone() -> None:
    short = struct.pack("=IiQII", 24, 0, 2, 7, 5)
    assert raise_limits(short) == short


def test_init_is_told_by_its_opcode() -> None:
    assert is_init(struct.pack("=IIQQIIII", 104, 26, 2, 0, 0, 0, 0, 0) + bytes(64))
    assert not is_init(struct.pack("=IIQQIIII", 40, 15, 2, 0, 0, 0, 0, 0))
    assert not is_init(b"")
