"""What the keeper itself does with requests: against a kernel in the small."""

import errno
import math
import struct
from collections.abc import Callable

import pytest

from meshcache.fuse.rawrequest import (
    FORGET,
    INTERRUPT,
    OPEN,
    READ,
    Asked,
    RawRequest,
    failure,
    parse,
    sent_again,
)
from meshcache.fuse.standin import LINGER, STRIKES, StandIn

RESENT = 1 << 63


class SmallKernel:
    """A queue, and what was read from it and not answered."""

    def __init__(self, *, resends: bool = True) -> None:
        self.resends = resends
        self.queue: list[RawRequest] = []
        self.read: list[RawRequest] = []
        self.failed: dict[int, int] = {}

    def ask(self, *numbers: int, opcode: int = READ) -> None:
        self.queue += [RawRequest(number, Asked(opcode, number, 0)) for number in numbers]

    def take(self) -> list[RawRequest]:
        taken, self.queue = self.queue, []
        self.read += [request for request in taken if request.opcode not in (FORGET, INTERRUPT)]
        return taken

    def fail(self, unique: int, number: int) -> bool:
        found = [request for request in self.read if request.unique == unique]
        self.read = [request for request in self.read if request.unique != unique]
        self.failed |= {request.number: number for request in found}
        return bool(found)

    def answer(self, number: int) -> None:
        """As a worker does."""
        self.read = [request for request in self.read if request.number != number]

    def resend(self) -> None:
        if self.resends:
            again = [RawRequest(request.unique | RESENT, request.asked) for request in self.read]
            self.queue, self.read = again + self.queue, []

    @property
    def waiting(self) -> set[int]:
        return {request.number for request in self.queue}


def stand_in(kernel: SmallKernel) -> StandIn:
    return StandIn(kernel, deadline=10.0, too_late=errno.ETIMEDOUT)


def just_now(since: float) -> Callable[[RawRequest], float]:
    """What the keeper knows of a worker that told of nothing since then."""
    return lambda _: since


def test_all_is_put_back_for_the_next_worker() -> None:
    kernel = SmallKernel()
    kernel.ask(1, 2)
    kernel.take()  # by the worker
    kernel.ask(3, 4)
    stand_in(kernel).died(100.0, young=True, since=just_now(100.0))
    assert kernel.waiting == {1, 2, 3, 4}
    assert not kernel.read
    assert not kernel.failed


def test_a_request_ends_a_deadline_after_it_was_read_over_however_many_workers() -> None:
    kernel = SmallKernel()
    keeper = stand_in(kernel)
    kernel.ask(1)
    for second in range(0, 9, 3):
        kernel.take()
        keeper.died(100.0 + second, young=False, since=just_now(99.0 + second))
    kernel.ask(2)
    keeper.look(108.0)
    assert kernel.failed == {}
    keeper.look(109.0)
    assert kernel.failed == {1: errno.ETIMEDOUT}
    keeper.look(118.0)
    assert kernel.failed == {1: errno.ETIMEDOUT, 2: errno.ETIMEDOUT}
    assert not kernel.waiting


def test_what_the_worker_had_waited_for_counts() -> None:
    kernel = SmallKernel()
    keeper = stand_in(kernel)
    kernel.ask(1, 2)
    kernel.take()
    since = {1: 91.0, 2: 95.0}
    keeper.died(100.0, young=False, since=lambda request: since[request.number])
    keeper.look(101.0)
    assert kernel.failed == {1: errno.ETIMEDOUT}
    assert kernel.waiting == {2}


def test_a_request_ends_in_the_next_worker_s_hands_who_does_not_know_its_age() -> None:
    kernel = SmallKernel()
    keeper = stand_in(kernel)
    kernel.ask(1, 2, 3)
    kernel.take()
    assert keeper.over_at == math.inf
    keeper.died(100.0, young=False, since=just_now(95.0))
    kernel.take()
    kernel.answer(2)
    assert keeper.over_at == 105.0
    keeper.end(104.9)
    assert kernel.failed == {}
    keeper.end(105.0)
    assert kernel.failed == {1: errno.ETIMEDOUT, 3: errno.ETIMEDOUT}
    keeper.end(105.0 + LINGER)
    assert keeper.over_at == math.inf  # nor is anything kept of what was answered


def test_a_request_that_the_next_worker_has_not_read_yet_ends_when_it_has() -> None:
    kernel = SmallKernel()
    keeper = stand_in(kernel)
    kernel.ask(1)
    kernel.take()
    keeper.died(100.0, young=False, since=just_now(90.1))
    keeper.end(100.2)
    assert kernel.failed == {}
    kernel.take()
    keeper.end(100.7)
    assert kernel.failed == {1: errno.ETIMEDOUT}


def test_what_a_retired_worker_leaves_keeps_its_age_while_another_one_reads() -> None:
    kernel = SmallKernel()
    keeper = stand_in(kernel)
    kernel.ask(1)
    kernel.take()
    keeper.lost(100.0, just_now(94.0))
    assert kernel.waiting == {1}
    kernel.take()
    keeper.end(104.0)
    assert kernel.failed == {1: errno.ETIMEDOUT}


def test_what_every_worker_dies_of_is_given_up_and_who_only_waits_is_not() -> None:
    kernel = SmallKernel()
    keeper = stand_in(kernel)
    kernel.ask(1)
    for _ in range(STRIKES):
        assert kernel.failed == {}
        kernel.take()  # the worker reads it, and dies of it ...
        kernel.ask(2)  # ... before it reads this
        keeper.died(100.0, young=True, since=just_now(100.0))
        kernel.queue = [request for request in kernel.queue if request.number == 1]
    assert kernel.failed == {1: errno.EIO}


def test_sound_workers_that_die_in_a_row_are_nobody_s_fault() -> None:
    kernel = SmallKernel()
    keeper = stand_in(kernel)
    kernel.ask(1)
    for turn in range(3 * STRIKES):
        kernel.take()
        keeper.died(100.0, young=turn % STRIKES != 0, since=just_now(100.0))
    assert kernel.failed == {}


def test_a_kernel_that_cannot_put_back_is_left_alone_until_a_deadline_without_a_worker() -> None:
    kernel = SmallKernel(resends=False)
    keeper = stand_in(kernel)
    kernel.ask(1, 2)
    keeper.died(100.0, young=True, since=just_now(100.0))
    keeper.look(109.0)
    assert kernel.waiting == {1, 2}
    assert keeper.waited(109.0) == 9.0  # so much is told the worker that comes now
    keeper.look(110.0)
    assert kernel.failed == {1: errno.ETIMEDOUT, 2: errno.ETIMEDOUT}
    kernel.ask(3)
    keeper.look(119.0)
    assert kernel.waiting == {3}
    assert keeper.waited(119.0) == 9.0
    keeper.look(120.0)
    assert 3 in kernel.failed


@pytest.mark.parametrize("opcode", [FORGET, INTERRUPT])
def test_what_wants_no_answer_gets_none(opcode: int) -> None:
    kernel = SmallKernel(resends=False)
    kernel.ask(1, opcode=opcode)
    stand_in(kernel).look(200.0)
    assert kernel.failed == {}


def test_requests_are_read_and_answered_as_the_kernel_writes_them() -> None:
    header = struct.pack("=IIQQIIII", 80, READ, 7 | RESENT, 99, 0, 0, 0, 0)
    request = parse(header + struct.pack("=QQIIQII", 99, 4096, 100, 0, 0, 0, 0))
    assert (request.number, request.asked, request.wants_answer) == (7, (READ, 99, 4096), True)
    assert sent_again(request.number) == request.unique
    assert failure(request.unique, errno.EIO) == struct.pack("=IiQ", 16, -errno.EIO, 7 | RESENT)
    assert parse(struct.pack("=IIQQIIII", 48, OPEN, 8, 99, 0, 0, 0, 0)).asked == (OPEN, 99, 0)
    with pytest.raises(ValueError, match="a request of 10 bytes"):
        parse(header[:10])
