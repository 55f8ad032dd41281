"""What waits in a worker's hands, as it tells its keeper."""

import pytest

from meshcache.fuse.messages import Pong, Waiting, decode_from_worker, encode
from meshcache.fuse.packets import MAX_PACKET
from meshcache.fuse.rawrequest import OPEN, READ
from meshcache.fuse.waits import MOST, Waits


class Clock:
    """The time, and a device that may have kept requests waiting."""

    now = 100.0
    behind = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_request_waits_until_its_deadline_and_is_told_of_meanwhile() -> None:
    clock = Clock()
    waits = Waits(clock, clock, 60.0)
    with waits.wait(READ, 7, 4096) as until:
        assert until == 160.0
        clock.now += 5
        with waits.wait(OPEN, 7):
            clock.now += 1
            assert waits.told() == ([Waiting(READ, 7, 4096, 6.0), Waiting(OPEN, 7, 0, 1.0)], 0.0)
    assert waits.told() == ([], 0.0)


def test_one_that_fails_waits_no_more() -> None:
    clock = Clock()
    waits = Waits(clock, clock, 60.0)
    with pytest.raises(KeyError), waits.wait(READ, 7):
        raise KeyError
    assert waits.told() == ([], 0.0)


def test_what_waited_on_the_device_has_less_time_left() -> None:
    clock = Clock()
    clock.behind = 9.0
    waits = Waits(clock, clock, 60.0)
    with waits.wait(READ, 7) as until:
        clock.behind = 0.0
        with waits.wait(READ, 8) as later:
            assert (until, later) == (151.0, 160.0)
            assert [one.age for one in waits.told()[0]] == [9.0, 0.0]


def test_of_many_the_oldest_are_told_of_in_one_message() -> None:
    clock = Clock()
    waits = Waits(clock, clock, 60.0)
    held = [waits.wait(READ, (1 << 63) - n, 1 << 40) for n in range(MOST + 10)]
    for wait in held:
        wait.__enter__()
        clock.now += 1 / 1024
    told, unlisted = waits.told()
    assert len(told) == MOST
    assert unlisted == told[-1].age > 10 / 1024
    packet = encode(Pong(told, unlisted))
    assert len(packet) <= MAX_PACKET
    assert decode_from_worker(packet) == Pong(told, unlisted)
    for wait in held:
        wait.__exit__(None, None, None)
