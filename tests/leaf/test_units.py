"""Sizes and durations as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.errors import InvalidInput
from meshcache.units import (
    GIB,
    KIB,
    MIB,
    format_age,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("1B", 1),
        ("64MiB", 64 * MIB),
        ("64Mi", 64 * MIB),
        ("64M", 64 * MIB),
        ("64mb", 64 * MIB),
        (" 1.5 GiB ", 3 * GIB // 2),
        ("1.16GiB", int(1.16 * GIB)),
        ("2T", 2048 * GIB),
        ("0.5k", 512),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "MiB", "-1", "1e3", "0", "0.0001", "12XB", "1,5G", "1 2", "nan", "inf", "٣x"]
)
def test_what_is_no_size_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a size") as caught:
        parse_size(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1.00KiB"), (1245708288, "1.16GiB"), (5 << 50, "5.00PiB")],
)
def test_a_size_is_written_with_two_decimals(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(1, 1 << 50))
def test_a_written_size_is_read_back_to_two_decimals(size: int) -> None:
    assert abs(parse_size(format_size(size)) - size) <= max(size * 0.01, 1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1.5", 1.5),
        ("90s", 90),
        ("1h", 3600),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("2d", 172800),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1x", "-5s", "0", "0s", "1h-5m", "inf", "nan", "1 h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (45, "45s"),
        (119, "119s"),
        (192, "3m12s"),
        (180, "3m"),
        (1800, "30m"),
        (7200, "120m"),
        (5 * 3600 + 60, "5h1m"),
        (9 * 3600 + 60, "9h"),
        (12 * 86400, "12d"),
    ],
)
def test_an_age_is_written_as_kubectl_does(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


def test_units_are_binary() -> None:
    assert (KIB, MIB, GIB) == (1024, 1024**2, 1024**3)
