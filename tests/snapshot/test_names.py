"""A name among a directory's: found if it is one, whatever the others look like."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.snapshot import names as module
from meshcache.snapshot.names import STEP, Names


def laid_out(*directories: list[bytes]) -> tuple[Names, list[range]]:
    """The names of these directories as a snapshot has them, and the rows of each."""
    text, ends, rows = bytearray(), array("I", [0]), []
    for directory in directories:
        rows.append(range(len(ends), len(ends) + len(directory)))
        for name in sorted(directory):
            text += name
            ends.append(len(text))
    return Names(memoryview(bytes(text)), memoryview(ends)), rows


some_names = st.sets(st.text("ab", min_size=1, max_size=9).map(str.encode), max_size=3 * STEP)
"""Of two letters, so that names stand in others, and over the border of two."""


@given(some_names, some_names, st.text("ab", max_size=4).map(str.encode))
def test_every_name_is_found_in_its_directory_and_no_other_is(
    before: set[bytes], here: set[bytes], absent: bytes
) -> None:
    names, (_, rows) = laid_out([*before], [*here])
    for row, name in zip(rows, sorted(here), strict=True):
        assert names[row] == name
    found = {name: names.find(name, rows.start, rows.stop) for name in here | before | {absent}}
    placed = dict(zip(sorted(here), rows, strict=True))
    assert found == {name: placed.get(name) for name in found}


@pytest.mark.parametrize("count", [STEP - 1, STEP, STEP + 1, 2 * STEP, 1000, 5000])
def test_names_of_directories_of_any_size(count: int) -> None:
    here = [b"file-%06d" % number for number in range(count)]
    names, (_, rows, _) = laid_out([b"a", b"z"], here, [b"file-", b"zz"])
    assert [names.find(name, rows.start, rows.stop) for name in here] == list(rows)
    for absent in (b"", b"a", b"z", b"file-", b"file-00001", b"file-%06d" % count, b"ile-000001"):
        assert names.find(absent, rows.start, rows.stop) is None


def test_what_is_kept_of_many_directories_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 16)
    here = [b"%04d" % number for number in range(4 * STEP)]
    names, directories = laid_out(*([here] * 20))
    for rows in directories * 2:
        assert names.find(b"0100", rows.start, rows.stop) == rows.start + 100
        assert sum(map(len, names._kept.values())) <= 16
