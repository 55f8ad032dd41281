"""A member that remembers its map over a restart brings nothing deleted back."""

import pytest

from meshcache.gossip import GossipError, saved
from meshcache.gossip.core.settings import LAN
from meshcache.gossip.core.statemap import ANY, StateMap

NOW = 1_800_000_000_000
WEEK = int(LAN.forget_entries * 1000)


def restarted(state: StateMap, writer: bytes = b"b" * 16) -> StateMap:
    remembered = saved.decode(saved.encode(state))
    fresh = StateMap(writer, LAN)
    fresh.floor = remembered.floor
    for entry in remembered.entries:
        fresh.merge(entry, NOW)
    return fresh


def test_what_was_written_and_deleted_is_so_after_a_restart() -> None:
    state = StateMap(b"a" * 16, LAN)
    state.write("datasets", "kept", b"1", ANY, NOW)
    state.write("datasets", "gone", b"2", ANY, NOW)
    state.write("datasets", "gone", None, ANY, NOW)
    again = restarted(state)
    assert [key for key, _ in again.items("datasets")] == ["kept"]
    assert {entry.key for entry in again.all()} == {"kept", "gone"}


def test_a_later_write_in_the_mesh_wins_over_what_was_remembered() -> None:
    state = StateMap(b"a" * 16, LAN)
    state.write("datasets", "x", b"old", ANY, NOW)
    remembered = saved.decode(saved.encode(state))
    newer = state.write("datasets", "x", b"new", ANY, NOW + 5)
    other = StateMap(b"c" * 16, LAN)
    other.merge(newer, NOW + 5)
    for entry in remembered.entries:
        assert other.merge(entry, NOW + 5) is None
    assert (found := other.get("datasets", "x")) is not None
    assert found.value == b"new"


def test_what_was_deleted_long_ago_is_not_brought_back_by_a_sleeper() -> None:
    sleeper = StateMap(b"a" * 16, LAN)
    entry = sleeper.write("datasets", "x", b"1", ANY, NOW)
    awake = StateMap(b"c" * 16, LAN)
    awake.merge(entry, NOW)
    awake.write("datasets", "x", None, ANY, NOW + 10)
    awake.reap(NOW + 2 * WEEK)
    (remembered,) = saved.decode(saved.encode(sleeper)).entries
    answer = awake.merge(remembered, NOW + 2 * WEEK)
    assert answer is not None
    assert answer.value is None, "it is answered with a tombstone"
    assert awake.get("datasets", "x") is None


@pytest.mark.parametrize("data", [b"", b"junk", b"\x92\x00\x91\x01", b"\xff" * 100])
def test_bytes_that_are_no_saved_map_are_refused(data: bytes) -> None:
    with pytest.raises(GossipError):
        saved.decode(data)
