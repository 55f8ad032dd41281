"""Many askers of one block are sent to one another, and nobody gives more than a few copies."""

from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.block import BlockId, FileVersion
from meshcache.fanout import BRANCHES, Fanout
from meshcache.units import MIB

BLOCK = FileVersion("test:", "object", "v1", 8 * MIB).block(4 * MIB, 0).id
OTHER = FileVersion("test:", "object", "v1", 8 * MIB).block(4 * MIB, 1).id


def ask(fanout: Fanout, stack: ExitStack, asker: str, id: BlockId = BLOCK) -> str:
    """Who gives it; empty: the owner, who does so until the stack ends."""
    giver = fanout.elsewhere(id, asker)
    if not giver:
        stack.enter_context(fanout.giving(id, asker))
    return giver


@given(count=st.integers(1, 300))
def test_askers_make_a_tree_whose_depth_grows_with_the_logarithm(count: int) -> None:
    fanout = Fanout(lambda member: True)
    names = [f"n{number}" for number in range(count)]
    with ExitStack() as stack:
        givers = {name: ask(fanout, stack, name) for name in names}
    assert max(Counter(givers.values()).values()) <= BRANCHES

    def depth(name: str) -> int:
        return 1 + depth(givers[name]) if givers[name] else 1

    assert BRANCHES ** (max(map(depth, names)) - 1) <= count


def test_a_lone_asker_is_given_to_though_others_were_before_it() -> None:
    fanout = Fanout(lambda member: True)
    for name in "abcdef":
        with ExitStack() as stack:
            assert ask(fanout, stack, name) == ""
    assert len(fanout) == 0, "what is over is forgotten"


def test_who_comes_again_is_given_to() -> None:
    """It was sent to somebody who could not, or its copy broke off."""
    fanout = Fanout(lambda member: True)
    with ExitStack() as stack:
        assert [ask(fanout, stack, name) for name in "abc"] == ["", "", "a"]
        assert ask(fanout, stack, "c") == ask(fanout, stack, "a") == ""


def test_nobody_is_sent_to_a_member_that_has_gone() -> None:
    there = set("abcd")
    fanout = Fanout(there.__contains__)
    with ExitStack() as stack:
        assert ask(fanout, stack, "a") == ask(fanout, stack, "b") == ""
        there.discard("a")
        assert ask(fanout, stack, "c") == ask(fanout, stack, "d") == "b"


def test_leaves_are_sent_on_and_nobody_is_sent_to_them() -> None:
    fanout = Fanout("member".__eq__)
    with ExitStack() as stack:
        assert ask(fanout, stack, "leaf 1") == ask(fanout, stack, "member") == ""
        assert ask(fanout, stack, "leaf 2") == ask(fanout, stack, "leaf 3") == "member"
        assert ask(fanout, stack, "leaf 4") == "", "nobody has a place: the owner gives"


@pytest.mark.parametrize("asker", ["", "c"])
def test_blocks_have_trees_of_their_own_and_who_does_not_say_who_it_is_is_given_to(
    asker: str,
) -> None:
    fanout = Fanout(bool)
    with ExitStack() as stack:
        assert [ask(fanout, stack, name) for name in "ab"] == ["", ""]
        assert ask(fanout, stack, asker, OTHER) == ""
        stack.enter_context(fanout.giving(BLOCK, ""))
        assert fanout.elsewhere(BLOCK, "d") == "a"
