"""The replicated map: whatever the schedule, members that have exchanged everything agree."""

from random import Random

import pytest
from hypothesis import example, given, settings
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


def test_a_full_namespace_locks_no_other_out() -> None:
    entries = state_map(settings=Settings(space_entries=2))
    entries.write("s", "a", b"", ANY, NOW)
    entries.write("s", "b", b"", ANY, NOW)
    with pytest.raises(MapFull, match="the namespace s is full, 2 entries"):
        entries.write("s", "c", b"", ANY, NOW)
    entries.write("other", "c", b"", ANY, NOW)
    entries.write("s", "a", None, ANY, NOW)
    entries.reap(NOW + 8 * DAY_MS)
    entries.write("s", "c", b"", ANY, NOW)


def test_the_bytes_of_a_namespace_are_limited_too() -> None:
    entries = state_map(settings=Settings(space_bytes=300))
    entries.write("s", "a", bytes(100), ANY, NOW)
    with pytest.raises(MapFull, match="the namespace s is full"):
        entries.write("s", "b", bytes(100), ANY, NOW)
    entries.write("s", "a", bytes(200), ANY, NOW)


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


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "delete", "exchange", "exchange", "days", "reap", "anew"]),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    min_size=12,
    max_size=40,
)


def exchange(one: StateMap, other: StateMap, now: int) -> None:
    """What anti-entropy does between two members, both ways."""
    for source, target in ((one, other), (other, one)):
        for entry in list(source.all()):
            news = target.merge(entry, now)
            if news is not None and news is not entry:
                source.merge(news, now)
    if one.digest.total == other.digest.total:
        one.raise_floor(other.floor, now)
        other.raise_floor(one.floor, now)


@settings(max_examples=400, deadline=None)
@example([("write", 0, 0), ("delete", 0, 0), ("exchange", 0, 1), ("days", 0, 2), ("reap", 0, 0)])
@given(STEPS)
def test_nothing_deleted_comes_back_however_long_a_member_was_away(
    steps: list[tuple[str, int, int]],
) -> None:
    """Members write, delete, meet in any order or not for weeks, forget tombstones, and start anew
    with nothing. Who once held an entry deleted never holds an older version of it again."""
    maps = [state_map(number) for number in range(4)]
    deleted: list[dict[str, tuple[int, bytes]]] = [{} for _ in maps]
    now = NOW
    for what, member, other in steps:
        target, key = maps[member], str(other % 2)
        now += 1000
        if what == "write":
            target.write("s", key, b"x", ANY, now)
        elif what == "delete":
            target.write("s", key, None, ANY, now)
        elif what == "exchange":
            exchange(target, maps[other], now)
        elif what == "days":
            now += (other + 1) * 3 * DAY_MS
        elif what == "reap":
            target.reap(now)
        else:
            maps[member], deleted[member] = state_map(10 * member + other + 4), {}
        for held, gone in zip(maps, deleted, strict=True):
            for entry in held.all():
                version = (entry.clock, entry.writer)
                if entry.value is None:
                    gone[entry.key] = max(gone.get(entry.key, version), version)
                else:
                    assert version > gone.get(entry.key, (0, b""))
    for _ in range(3):
        for one in maps:
            for two in maps:
                exchange(one, two, now)
        for held in maps:
            held.reap(now)
    assert len({held.digest.total for held in maps}) == 1
    assert all(list(held.items("s")) == list(maps[0].items("s")) for held in maps)
