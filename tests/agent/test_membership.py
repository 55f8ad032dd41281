"""Which part a guest has in gossip."""

from meshcache.agent.mesh.membership import ALONE, BACK, LOST, GuestPart


def test_a_leaf_that_sees_no_cache_member_waits_a_moment_and_becomes_full() -> None:
    part = GuestPart()
    assert part.wait(10.0, "leaf", caches=False) == ALONE
    assert part.wait(11.0, "leaf", caches=False) == ALONE - 1
    assert part.wait(10.0 + ALONE, "leaf", caches=False) == 0


def test_a_cache_member_that_answers_in_time_leaves_it_a_leaf() -> None:
    part = GuestPart()
    part.wait(10.0, "leaf", caches=False)
    assert part.wait(11.0, "leaf", caches=True) is None
    assert part.wait(20.0, "leaf", caches=False) == LOST


def test_a_full_guest_goes_back_only_when_a_cache_member_stays() -> None:
    part = GuestPart()
    assert part.wait(0.0, "full", caches=False) is None
    assert part.wait(5.0, "full", caches=True) == BACK
    assert part.wait(6.0, "full", caches=False) is None
    assert part.wait(7.0, "full", caches=True) == BACK


def test_a_changed_role_begins_to_wait_anew() -> None:
    part = GuestPart()
    part.wait(0.0, "full", caches=True)
    assert part.wait(BACK, "full", caches=True) == 0
    assert part.wait(BACK, "leaf", caches=False) == ALONE
