"""The rules of the rings, for any set of members."""

from hypothesis import given
from hypothesis import strategies as st

from meshcache.gossip.core.rings import Rings

UIDS = st.binary(min_size=16, max_size=16)


@given(st.sets(UIDS, max_size=40))
def test_each_member_has_five_observers_or_all_others(uids: set[bytes]) -> None:
    rings = Rings(5, uids)
    for uid in uids:
        observers = rings.observers(uid)
        assert len(set(observers)) == len(observers) == min(5, len(uids) - 1)
        assert uid not in observers


@given(st.sets(UIDS, max_size=40))
def test_subjects_are_the_reverse_of_observers(uids: set[bytes]) -> None:
    rings = Rings(5, uids)
    for uid in uids:
        assert rings.subjects(uid) == {one for one in uids if uid in rings.observers(one)}


@given(st.sets(UIDS, max_size=30), st.sets(UIDS, max_size=10), st.integers(0, 30))
def test_changed_rings_are_those_of_the_new_set(
    uids: set[bytes], joined: set[bytes], leave: int
) -> None:
    gone = set(sorted(uids)[:leave])
    changed, fresh = Rings(5, uids).changed(joined, gone), Rings(5, (uids | joined) - gone)
    assert changed.uids == fresh.uids
    for uid in fresh.uids:
        assert changed.observers(uid) == fresh.observers(uid)
