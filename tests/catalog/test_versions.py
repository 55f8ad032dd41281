"""Versions of a dataset by name, and the history that remembers them."""

import pytest

from meshcache.agent.catalog.versions import find_version, version_of
from meshcache.dataset import MAX_RECORD, MAX_VERSIONS, Head, History, base_name
from meshcache.errors import VersionNotFound


def head(number: int, *, lister: str = "one") -> Head:
    snapshot = f"{number:08x}" * 8
    return Head("uid", snapshot, 1 << 27, 10**6, 1 << 40, listed=1e9 + number, lister=lister)


def history(*numbers: int) -> History:
    made = History("uid")
    for number in numbers:
        made = made.with_head(head(number))
    return made


def names(made: History) -> list[int]:
    return [int(version.name[:8], 16) for version in made.versions]


def test_the_newest_is_first_and_the_oldest_are_forgotten() -> None:
    made = history(*range(100))
    assert names(made) == list(range(99, 99 - MAX_VERSIONS, -1))


def test_a_listing_that_finds_nothing_new_is_no_version() -> None:
    made = history(1, 2)
    assert made.with_head(head(2)) is made


def test_what_is_shown_again_is_the_newest_again() -> None:
    assert names(history(1, 2, 3, 1)) == [1, 3, 2]


def test_a_history_fits_into_a_record_whatever_its_members_are_called() -> None:
    made = History("uid")
    for number in range(MAX_VERSIONS):
        made = made.with_head(head(number, lister="x" * 128))
    assert len(made.encode()) <= MAX_RECORD
    assert len(history(*range(MAX_VERSIONS)).encode()) <= MAX_RECORD


def test_a_version_is_named_by_the_beginning_of_its_id() -> None:
    made = history(0xABCD1111, 0xABCD2222)
    assert find_version("data", "abcd1", made).name.startswith("abcd1111")
    for wanted, why in (
        ("abcd", "2 versions"),
        ("ffff", "no version ffff"),
        ("abc", "at least 4"),
        ("ABCD1", "is no version"),
        ("", "is no version"),
    ):
        with pytest.raises(VersionNotFound, match=why):
            find_version("data", wanted, made)


def test_a_name_is_a_dataset_and_maybe_a_version() -> None:
    assert (base_name("data"), version_of("data")) == ("data", None)
    assert (base_name("data@abcd"), version_of("data@abcd")) == ("data", "abcd")
