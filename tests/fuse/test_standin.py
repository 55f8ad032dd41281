"""What the keeper does with requests while no worker answers: against a kernel in the small."""

import errno
import struct

import pytest

from meshcache.fuse.rawrequest import FORGET, INTERRUPT, READ, RawRequest, failure, parse
from meshcache.fuse.standin import STRIKES, StandIn

RESENT = 1 << 63


class SmallKernel:
    """A queue, and what was read from it and not answered."""

    def __init__(self, *, resends: bool = True) -> None:
        self.resends = resends
        self.queue: list[RawRequest] = []
        self.read: list[RawRequest] = []
        self.failed: dict[int, int] = {}

    def ask(self, *numbers: int, opcode: int = READ) -> None:
        self.queue += [RawRequest(number, opcode) for number in numbers]

    def take(self) -> list[RawRequest]:
        taken, self.queue = self.queue, []
        self.read += [request for request in taken if request.opcode not in (FORGET, INTERRUPT)]
        return taken

    def fail(self, request: RawRequest, number: int) -> None:
        self.read.remove(request)
        self.failed[request.number] = number

    def resend(self) -> None:
        if self.resends:
            again = [RawRequest(request.unique | RESENT, request.opcode) for request in self.read]
            self.queue, self.read = again + self.queue, []

    @property
    def waiting(self) -> set[int]:
        return {request.number for request in self.queue}


def stand_in(kernel: SmallKernel) -> StandIn:
    return StandIn(kernel, deadline=10.0, too_late=errno.ETIMEDOUT)


def test_all_is_put_back_for_the_next_worker() -> None:
    kernel = SmallKernel()
    kernel.ask(1, 2)
    kernel.take()  # by the worker
    kernel.ask(3, 4)
    stand_in(kernel).died(100.0, young=True)
    assert kernel.waiting == {1, 2, 3, 4}
    assert not kernel.read
    assert not kernel.failed


def test_a_request_ends_a_deadline_after_it_was_seen_over_however_many_workers() -> None:
    kernel = SmallKernel()
    keeper = stand_in(kernel)
    kernel.ask(1)
    for second in range(0, 9, 3):
        kernel.take()
        keeper.died(100.0 + second, young=False)
    kernel.ask(2)
    keeper.look(108.0, since=106.0)
    assert kernel.failed == {}
    keeper.look(110.0, since=106.0)
    assert kernel.failed == {1: errno.ETIMEDOUT}
    keeper.look(118.0, since=106.0)
    assert kernel.failed == {1: errno.ETIMEDOUT, 2: errno.ETIMEDOUT}
    assert not kernel.waiting


def test_what_every_worker_dies_of_is_given_up_and_who_only_waits_is_not() -> None:
    kernel = SmallKernel()
    keeper = stand_in(kernel)
    kernel.ask(1)
    for _ in range(STRIKES):
        assert kernel.failed == {}
        kernel.take()  # the worker reads it, and dies of it ...
        kernel.ask(2)  # ... before it reads this
        keeper.died(100.0, young=True)
        kernel.queue = [request for request in kernel.queue if request.number == 1]
    assert kernel.failed == {1: errno.EIO}


def test_sound_workers_that_die_in_a_row_are_nobody_s_fault() -> None:
    kernel = SmallKernel()
    keeper = stand_in(kernel)
    kernel.ask(1)
    for turn in range(3 * STRIKES):
        kernel.take()
        keeper.died(100.0, young=turn % STRIKES != 0)
    assert kernel.failed == {}


def test_a_kernel_that_cannot_put_back_is_left_alone_until_a_deadline_without_a_worker() -> None:
    kernel = SmallKernel(resends=False)
    keeper = stand_in(kernel)
    kernel.ask(1, 2)
    keeper.died(100.0, young=True)
    keeper.look(109.0, since=100.0)
    assert kernel.waiting == {1, 2}
    keeper.look(110.0, since=100.0)
    assert kernel.failed == {1: errno.ETIMEDOUT, 2: errno.ETIMEDOUT}


@pytest.mark.parametrize("opcode", [FORGET, INTERRUPT])
def test_what_wants_no_answer_gets_none(opcode: int) -> None:
    kernel = SmallKernel(resends=False)
    kernel.ask(1, opcode=opcode)
    stand_in(kernel).look(200.0, since=0.0)
    assert kernel.failed == {}


def test_requests_are_read_and_answered_as_the_kernel_writes_them() -> None:
    header = struct.pack("=IIQQIIII", 48, 15, 7 | RESENT, 99, 0, 0, 0, 0)
    request = parse(header + bytes(8))
    assert (request.number, request.opcode, request.wants_answer) == (7, READ, True)
    assert failure(request, errno.EIO) == struct.pack("=IiQ", 16, -errno.EIO, 7 | RESENT)
    with pytest.raises(ValueError, match="a request of 10 bytes"):
        parse(header[:10])
