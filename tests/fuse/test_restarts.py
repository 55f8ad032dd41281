"""A worker that dies now and then is replaced at once; one that dies again and again, slowly."""

from meshcache.fuse.restarts import LOOP, PAUSES, SHORT_LIFE, Restarts


def test_short_lives_in_a_row_lead_to_growing_pauses() -> None:
    restarts = Restarts()
    pauses = [restarts.died(0.1) for _ in range(len(PAUSES) + 3)]
    assert pauses == [*PAUSES, *[PAUSES[-1]] * 3]
    assert pauses[LOOP - 2] == 0 < pauses[LOOP - 1]
    assert restarts.deaths == len(pauses)


def test_a_sound_life_ends_the_row() -> None:
    restarts = Restarts()
    for _ in range(LOOP):
        restarts.died(SHORT_LIFE / 2)
    assert restarts.looping
    assert restarts.died(SHORT_LIFE * 2) == 0
    assert not restarts.looping


def test_workers_that_live_long_enough_are_never_slowed_down() -> None:
    restarts = Restarts()
    assert {restarts.died(SHORT_LIFE + 0.1) for _ in range(100)} == {0.0}


def test_a_loop_ends_once_a_worker_has_served_long_enough() -> None:
    restarts = Restarts()
    for _ in range(LOOP):
        restarts.died(0.1)
    assert not restarts.lives(SHORT_LIFE)
    assert restarts.lives(SHORT_LIFE + 0.1)
    assert not restarts.looping
    assert not restarts.lives(SHORT_LIFE + 0.2)  # said once
