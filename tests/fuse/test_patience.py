"""How long the worker looks for the next request: only for a lone asker that asks again at once."""

from meshcache.fuse.patience import ALONE, LONGEST, Patience

SOON, LATE = LONGEST / 2, LONGEST * 2


def asked(patience: Patience, times: int, after: float, now: float = 0.0) -> float:
    """Let so many requests come, each so long after the last was answered; the time then."""
    for _ in range(times):
        now += after
        patience.woken(now)
        patience.answered(now)
    return now


def test_nobody_is_waited_for_at_first() -> None:
    patience = Patience()
    assert patience.seconds == 0
    asked(patience, ALONE - 1, SOON)
    assert patience.seconds == 0


def test_a_lone_asker_is_waited_for_as_long_as_it_asks_again_at_once() -> None:
    patience = Patience()
    now = asked(patience, ALONE + 1, SOON)
    assert patience.seconds == LONGEST
    now = asked(patience, 1, LATE, now)
    assert patience.seconds == 0
    asked(patience, 1, SOON, now)
    assert patience.seconds == LONGEST


def test_one_that_asks_slowly_is_not_waited_for() -> None:
    patience = Patience()
    asked(patience, 10 * ALONE, LATE)
    assert patience.seconds == 0


def test_several_askers_are_not_waited_for_until_one_is_left() -> None:
    patience = Patience()
    now = asked(patience, ALONE + 1, SOON)
    patience.crowded()
    assert patience.seconds == 0
    now = asked(patience, ALONE - 1, SOON, now)
    assert patience.seconds == 0
    asked(patience, 1, SOON, now)
    assert patience.seconds == LONGEST


def test_requests_found_while_looking_are_of_the_lone_asker_too() -> None:
    patience = Patience()
    patience.crowded()
    for _ in range(ALONE):
        patience.found()
    asked(patience, 1, SOON)
    assert patience.seconds == LONGEST
