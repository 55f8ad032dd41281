"""The replicated map: whatever the schedule, members that have exchanged everything agree."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.gossip import wire
from meshcache.gossip.core.settings import Settings
from meshcache.gossip.core.statemap import ANY, StateMap
from meshcache.gossip.errors import EntryTooLarge, MapConflict, MapFull

DAY_MS = 24 * 3600 * 1000
NOW = 1_800_000_000_000


def state_map(number: int = 1, settings: Settings | None = None) -> StateMap:
    return StateMap(bytes([number]) * 16, settings or Settings())


def test_a_write_that_expects_another_version_changes_nothing() -> None:
    entries = state_map()
    first = entries.write("s", "k", b"1", None, NOW)
    with pytest.raises(MapConflict):
        entries.write("s", "k", b"2", None, NOW)
    found = entries.get("s", "k")
    assert found is not None
    assert found.value == b"1"
    assert found.version.clock == first.clock
    entries.write("s", "k", b"2", found.version, NOW)
    with pytest.raises(MapConflict):
        entries.write("s", "k", b"3", found.version, NOW)


def test_a_deleted_entry_counts_as_none() -> None:
    entries = state_map()
    entries.write("s", "k", b"1", ANY, NOW)
    entries.write("s", "k", None, ANY, NOW)
    assert entries.get("s", "k") is None
    assert entries.items("s") == []
    entries.write("s", "k", b"2", None, NOW)


def test_namespaces_are_apart() -> None:
    entries = state_map()
    entries.write("a", "k", b"1", None, NOW)
    entries.write("b", "k", b"2", None, NOW)
    assert [(key, entry.value) for key, entry in entries.items("a")] == [("k", b"1")]


@pytest.mark.parametrize(
    ("space", "key", "value"),
    [("s", "k", b"x" * 4097), ("s" * 65, "k", b""), ("s", "k" * 257, b""), ("", "k", b"")],
)
def test_what_is_too_long_is_refused(space: str, key: str, value: bytes) -> None:
    with pytest.raises(EntryTooLarge):
        state_map().write(space, key, value, ANY, NOW)


def test_a_full_map_takes_no_new_entry_but_still_deletes() -> None:
    entries = state_map(settings=Settings(map_entries=2))
    entries.write("s", "a", b"", ANY, NOW)
    entries.write("s", "b", b"", ANY, NOW)
    with pytest.raises(MapFull):
        entries.write("s", "c", b"", ANY, NOW)
    entries.write("s", "a", b"new", ANY, NOW)
    entries.write("s", "b", None, ANY, NOW)


def test_a_write_from_the_far_future_is_refused() -> None:
    entries = state_map()
    far = wire.MapEntry("s", "k", b"", (NOW + 2 * DAY_MS) << 16, b"x" * 16)
    assert entries.merge(far, NOW) is None
    assert entries.refused == 1
    assert entries.get("s", "k") is None


def test_a_write_after_one_that_was_seen_wins_though_the_clock_is_behind() -> None:
    ahead, behind = state_map(1), state_map(2)
    seen = ahead.write("s", "k", b"old", ANY, NOW + 3_600_000)
    behind.merge(seen, NOW)
    new = behind.write("s", "k", b"new", ANY, NOW)
    ahead.merge(new, NOW)
    found = ahead.get("s", "k")
    assert found is not None
    assert found.value == b"new"


def test_what_was_deleted_and_forgotten_does_not_come_back() -> None:
    kept, absent = state_map(1), state_map(2)
    entry = kept.write("s", "k", b"1", ANY, NOW)
    absent.merge(entry, NOW)
    kept.write("s", "k", None, ANY, NOW + 1000)
    later = NOW + 8 * DAY_MS
    kept.reap(later)
    assert kept.count == 0
    answer = kept.merge(next(absent.all()), later)
    assert answer is not None
    assert answer.value is None
    absent.merge(answer, later)
    assert absent.get("s", "k") is None
    kept.reap(later)
    absent.reap(later)
    assert kept.count == absent.count == 0
    assert kept.digest.total == absent.digest.total


def test_an_old_living_entry_outlives_the_tombstones() -> None:
    entries = state_map()
    entries.write("s", "lives", b"1", ANY, NOW)
    entries.write("s", "dies", b"1", ANY, NOW)
    entries.write("s", "dies", None, ANY, NOW)
    entries.reap(NOW + 30 * DAY_MS)
    assert entries.get("s", "lives") is not None
    assert entries.count == 1


Operation = tuple[int, int, int, int]
OPERATIONS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2), st.integers(-5000, 5000)),
    max_size=40,
)


@given(OPERATIONS, st.randoms(use_true_random=False))
def test_members_that_exchanged_everything_hold_the_same_map(
    operations: list[Operation], order: Random
) -> None:
    """Random writes, deletions and exchanges in any order, with clocks seconds apart."""
    maps = [state_map(number) for number in range(4)]
    for step, (member, key, what, skew) in enumerate(operations):
        target = maps[member]
        if what == 2:
            for entry in list(maps[key].all()):
                target.merge(entry, NOW)
        else:
            value = None if what else str(step).encode()
            target.write("s", str(key), value, ANY, NOW + step * 1000 + skew)
    everything = [(target, entry) for source in maps for entry in source.all() for target in maps]
    order.shuffle(everything)
    for target, entry in everything:
        target.merge(entry, NOW)
    assert len({entries.digest.total for entries in maps}) == 1
    assert all(list(entries.items("s")) == list(maps[0].items("s")) for entries in maps)
    assert len({(entries.size, entries.count) for entries in maps}) == 1
