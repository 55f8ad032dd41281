"""Copy on write: what is laid over a dictionary or a set behaves as a copy of it would."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from meshcache.gossip.core.overlay import Overlay, OverlaySet

KEYS = st.integers(0, 9)


@given(
    st.dictionaries(KEYS, st.lists(KEYS, min_size=1)),
    st.lists(st.tuples(st.sampled_from(["get", "set", "delete", "change"]), KEYS)),
)
def test_an_overlay_is_a_copy_to_all_that_use_it(
    base: dict[int, list[int]], steps: list[tuple[str, int]]
) -> None:
    before = copy.deepcopy(base)
    plain, over = copy.deepcopy(base), Overlay(base, copy.copy)
    for what, key in steps:
        match what:
            case "get":
                assert over.get(key) == plain.get(key)
            case "set":
                plain[key], over[key] = [99], [99]
            case "delete":
                assert over.pop(key, None) == plain.pop(key, None)
            case _ if key in over:
                plain[key].append(7)
                over[key].append(7)
        assert (key in over) == (key in plain)
        assert len(over) == len(plain)
        assert dict(over.items()) == plain
        assert set(over) == set(plain)
    assert base == before


@given(st.sets(KEYS), st.lists(st.tuples(st.booleans(), KEYS)))
def test_an_overlaid_set_is_a_copy_to_all_that_use_it(
    base: set[int], steps: list[tuple[bool, int]]
) -> None:
    before, plain, over = set(base), set(base), OverlaySet(base)
    for add, key in steps:
        for one in (plain, over):
            (one.add if add else one.discard)(key)
        assert set(over) == plain
        assert over.isdisjoint(set(range(10)) - plain)
        assert len(over) == len(plain)
        assert over - {key} == plain - {key}
        assert isinstance(over - {key}, set)
    assert base == before
