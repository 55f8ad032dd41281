"""What a keeper knows of a worker by asking it."""

import pytest

from meshcache.fuse.messages import Waiting
from meshcache.fuse.rawrequest import OPEN, READ, Asked, RawRequest
from meshcache.fuse.watch import Watch

DEADLINE = 60.0
EVERY, PATIENCE = 5.0, 20.0


def a_read(inode: int, offset: int = 0) -> RawRequest:
    return RawRequest(1, Asked(READ, inode, offset))


def silent(watch: Watch, begin: float, end: float) -> float | None:
    """When it is taken to hang, in that time, if it is asked each time that it may be."""
    now = begin
    while now <= end:
        if watch.hangs(now):
            return now
        watch.asks(now)
        now += 0.25
    return None


def test_a_request_is_as_old_as_the_worker_said() -> None:
    watch = Watch(DEADLINE, 100.0)
    said = [Waiting(READ, 7, 4096, 12.0), Waiting(OPEN, 7, 0, 3.0)]
    watch.told(120.0, said, 0.0)
    assert watch.since(a_read(7, 4096)) == 108.0
    assert watch.since(RawRequest(2, Asked(OPEN, 7, 0))) == 117.0


def test_one_that_was_not_told_of_came_after_the_telling() -> None:
    watch = Watch(DEADLINE, 100.0)
    assert watch.since(a_read(7)) == 100.0
    watch.told(120.0, [], 0.0)
    assert watch.since(a_read(7)) == 120.0
    watch.told(125.0, [Waiting(READ, 1, 0, 9.0)], 4.0)  # so many waited that it told of some
    assert watch.since(a_read(7)) == 121.0


def test_two_that_ask_the_same_are_both_taken_for_the_older() -> None:
    watch = Watch(DEADLINE, 100.0)
    watch.told(120.0, [Waiting(READ, 7, 0, 2.0), Waiting(READ, 7, 0, 5.0)], 0.0)
    assert watch.since(a_read(7)) == 115.0


def test_it_is_asked_after_an_eighth_of_a_deadline_or_when_a_request_is_over() -> None:
    watch = Watch(DEADLINE, 100.0)
    assert watch.next(101.0) == EVERY - 1
    assert not watch.asks(101.0)
    assert watch.asks(105.0)
    watch.heard()
    watch.told(105.0, [Waiting(READ, 7, 0, 58.0)], 0.0)
    assert watch.next(105.0) == 2.0
    assert watch.asks(107.0)


@pytest.mark.parametrize("deadline", [0.001, 0.5, 4.0])
def test_short_deadlines_are_asked_for_oftener_but_not_without_end(deadline: float) -> None:
    assert Watch(deadline, 100.0).next(100.0) == pytest.approx(max(0.05, deadline / 8))


def test_silence_is_a_hang_sooner_if_a_request_should_have_ended() -> None:
    watch = Watch(DEADLINE, 100.0)
    hung = silent(watch, 100.0, 200.0)
    assert hung is not None
    assert PATIENCE < hung - 100.0 <= PATIENCE + EVERY + 1
    watch = Watch(DEADLINE, 100.0)
    watch.told(100.0, [Waiting(READ, 7, 0, 55.0)], 0.0)
    hung = silent(watch, 100.0, 200.0)
    assert hung is not None
    assert hung - 105.0 <= 3.0
    watch = Watch(DEADLINE, 100.0, lambda: 105.0)  # one that the keeper knows to be old
    assert silent(watch, 100.0, 200.0) == hung


def test_a_keeper_that_stood_still_itself_takes_no_worker_to_hang() -> None:
    watch = Watch(DEADLINE, 100.0)
    assert watch.asks(105.0)
    assert not watch.hangs(1000.0)
    watch.heard()
    assert silent(watch, 1000.0, 1004.0) is None
