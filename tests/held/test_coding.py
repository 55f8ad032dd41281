"""Marks come back as they were, and are short."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from meshcache.agent.held import coding
from meshcache.agent.held.sample import POINTS, Bits


def bits_of(count: int, share: float, seed: int) -> Bits:
    return np.random.default_rng(seed).random(count) < share


@given(
    count=st.integers(0, POINTS),
    share=st.one_of(st.floats(0, 1), st.sampled_from([0, 1e-3, 1])),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_what_is_written_is_read(count: int, share: float, seed: int) -> None:
    bits = bits_of(count, share, seed)
    data = coding.encode(bits)
    again = coding.decode(data, count)
    assert again is not None
    assert np.array_equal(again, bits)
    assert len(data) <= 1 + -(-count // 8)


def test_a_member_of_many_takes_few_bytes() -> None:
    assert len(coding.encode(bits_of(POINTS, 1 / 1000, 1))) < 50
    assert len(coding.encode(np.ones(POINTS, dtype=np.bool_))) < 30
    assert coding.encode(np.zeros(POINTS, dtype=np.bool_)) == b""


@given(data=st.binary(max_size=60), count=st.integers(0, 200))
def test_what_nobody_wrote_is_nothing_or_some_marks_and_never_an_error(
    data: bytes, count: int
) -> None:
    bits = coding.decode(data, count)
    assert bits is None or bits.shape == (count,)


def test_a_bitmap_of_another_length_is_refused_a_bomb_as_well() -> None:
    data = coding.encode(bits_of(POINTS, 0.5, 1))
    assert coding.decode(data, POINTS - 8) is None
    assert coding.decode(b"\x09", 8) is None
    import zlib

    assert coding.decode(b"\x02" + zlib.compress(bytes(1 << 24), wbits=-15), POINTS) is None
