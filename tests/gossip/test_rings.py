"""The rules of the rings, for any set of members, in any zones."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from meshcache.gossip.core.rings import Rings

UIDS = st.binary(min_size=16, max_size=16)
ONE_ZONE = st.dictionaries(UIDS, st.just(""), max_size=40)
ZONES = st.dictionaries(UIDS, st.sampled_from(["", "a", "b", "c"]), max_size=40)
ANY_ZONES = ONE_ZONE | ZONES


@given(ANY_ZONES)
def test_each_member_has_five_observers_or_all_others(zones: dict[bytes, str]) -> None:
    rings = Rings(5, zones)
    for uid in zones:
        observers = rings.observers(uid)
        assert len(set(observers)) == len(observers) == min(5, len(zones) - 1)
        assert uid not in observers


@given(ANY_ZONES)
def test_subjects_are_the_reverse_of_observers(zones: dict[bytes, str]) -> None:
    rings = Rings(5, zones)
    for uid in zones:
        assert rings.subjects(uid) == {one for one in zones if uid in rings.observers(one)}


@given(ANY_ZONES, ANY_ZONES, st.integers(0, 30))
def test_changed_rings_are_those_of_the_new_set(
    zones: dict[bytes, str], joined: dict[bytes, str], leave: int
) -> None:
    gone = sorted(zones)[:leave]
    now = {uid: zone for uid, zone in zones.items() if uid not in gone} | joined
    changed, fresh = Rings(5, zones).changed(joined, gone), Rings(5, now)
    assert changed.zones == fresh.zones
    for uid in fresh.uids:
        assert changed.observers(uid) == fresh.observers(uid)


@given(ZONES)
def test_a_zone_of_three_or_more_gives_each_of_its_members_two_observers(
    zones: dict[bytes, str],
) -> None:
    rings, sizes = Rings(5, zones), Counter(zones.values())
    for uid, zone in zones.items():
        own = sum(zones[one] == zone for one in rings.observers(uid))
        assert own >= min(2, sizes[zone] - 1)


def _spread(sizes: dict[str, int]) -> Rings:
    dice = Random(4)
    return Rings(5, {dice.randbytes(16): zone for zone, size in sizes.items() for _ in range(size)})


def test_of_two_equal_zones_the_other_has_two_of_five_observers() -> None:
    rings = _spread({"a": 100, "b": 100})
    others = Counter(
        sum(rings.zones[one] != zone for one in rings.observers(uid))
        for uid, zone in rings.zones.items()
    )
    assert min(others) >= 1
    assert others[2] > 190  # else eight predecessors in a row were of one zone


def test_of_three_zones_every_one_observes_every_member_and_no_other_has_a_majority() -> None:
    rings = _spread({"a": 100, "b": 100, "c": 100})
    complete = 0
    for uid, zone in rings.zones.items():
        zones = Counter(rings.zones[one] for one in rings.observers(uid))
        assert all(count <= 2 for name, count in zones.items() if name != zone)
        complete += len(zones) == 3
    assert complete > 290


def test_the_members_of_a_small_zone_do_not_observe_everybody_else() -> None:
    rings = _spread({"big": 500, "small": 2})
    assert max(len(rings.subjects(uid)) for uid in rings.zones) <= 60
    mean = sum(len(rings.subjects(uid)) for uid in rings.zones) / len(rings)
    assert mean == 5


def test_a_member_alone_in_its_zone_is_observed_from_as_many_zones_as_there_are() -> None:
    rings = _spread({"a": 1, "b": 50, "c": 50, "d": 50})
    (alone,) = (uid for uid, zone in rings.zones.items() if zone == "a")
    zones = Counter(rings.zones[one] for one in rings.observers(alone))
    assert sorted(zones.values()) == [1, 2, 2]
