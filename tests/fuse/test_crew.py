"""Workers of real processes, without a mount: who may take over, and who may not."""

import errno
import os
import signal
import socket
import struct
from collections.abc import Iterator

import pytest

from benchmarks import workers
from meshcache.fuse.crew import Crew, MountLost
from meshcache.fuse.messages import Begin, Ping, Report, Serve, decode_to_agent
from meshcache.fuse.poll import Poll
from meshcache.fuse.process import WorkerProcess
from tests.support.wait import wait_until

INIT = struct.pack("=IIQQIIIIIIIII", 104, 26, 2, 0, 0, 0, 0, 0, 7, 41, 131072, 0x73FFFFFB, 0xFF)
INIT += bytes(104 - len(INIT))


TERMS = Serve(0, 0, 20.0, errno.ETIMEDOUT)


class FakeKernel:
    """A mount that nobody uses."""

    resends = True
    ended = False

    def __init__(self) -> None:
        self.init = INIT
        self.answers: list[bytes] = []
        self.device, self._wake = os.pipe2(os.O_NONBLOCK)

    def answer_init(self, answer: bytes) -> None:
        self.answers.append(answer)

    def open_for_worker(self) -> int:
        return os.dup(self.device)

    def resend(self) -> None:
        pass

    def take(self) -> list[object]:
        return []

    def close(self) -> None:
        os.close(self.device)
        os.close(self._wake)


class Stage:
    """A crew, and the steps of its owner."""

    def __init__(self) -> None:
        self.poll = Poll()
        self.doors_wanted = 0
        self.crew = Crew(self.poll, TERMS, self._want_door)
        self.kernel = FakeKernel()

    def _want_door(self) -> None:
        self.doors_wanted += 1

    def begin(self) -> None:
        self.crew.begin(self.kernel)  # type: ignore[arg-type]

    def step(self) -> None:
        self.crew.tend()
        self.poll.step(0.01)

    def until(self, check: object) -> None:
        assert callable(check)

        def stepped() -> object:
            self.step()
            return check()

        wait_until(stepped)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.crew.close()
    stage.kernel.close()


def test_a_spare_is_made_once_a_worker_answers(stage: Stage) -> None:
    stage.begin()
    stage.until(lambda: stage.crew.spares.ready)
    assert stage.crew.answering
    assert len(stage.kernel.answers) == 1


def test_a_worker_that_answers_otherwise_than_the_kernel_was_told_is_refused(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.begin()
    stage.kernel.init = INIT[:48] + struct.pack("=I", 4096) + INIT[52:]  # max_readahead
    stage.until(lambda: stage.crew.spares.refused)
    assert not stage.crew.spares.ready
    assert stage.crew.answering  # the one that is there goes on
    stage.kernel.init = INIT
    stage.until(lambda: stage.crew.spares.ready)
    assert len(stage.kernel.answers) == 1


def test_a_mount_whose_worker_cannot_be_given_a_device_of_its_own_ends_with_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_device() -> int:
        raise PermissionError("no /dev/fuse")

    monkeypatch.setattr(stage.kernel, "open_for_worker", no_device)
    stage.begin()
    stage.until(lambda: stage.crew.answering)
    for pid in workers.all_of(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(MountLost):
        stage.until(lambda: not stage.crew.alive)


def test_a_door_takes_the_place_of_the_one_before(stage: Stage) -> None:
    stage.begin()
    stage.until(lambda: stage.crew.answering)
    ends = []
    for _ in range(2):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ends.append(ours)
        stage.crew.use_door(theirs)
        ours.settimeout(10)
        said = [decode_to_agent(ours.recv(1000)) for _ in range(2)]  # the keeper's and the worker's
        assert {type(message) for message in said} == {Begin, Report}
    assert ends[0].recv(1000) == b""  # both have left it
    assert stage.doors_wanted == 0
    ends[1].close()
    stage.until(lambda: stage.doors_wanted == 1)
    ends[0].close()


def test_what_is_said_to_a_worker_that_was_let_go_is_lost() -> None:
    worker = WorkerProcess()
    worker.close()
    worker.send(Ping())
    assert worker.control.fileno() == -1
