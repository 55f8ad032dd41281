"""A request's deadline is counted from when it was first read, whoever answers it in the end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuse.agent import FakeAgent
from tests.fuse.conftest import Mount
from tests.fuse.mounts import Keeping, start
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

DEADLINE = 8.0

AGE = DEADLINE - 2
"""Seconds that a request has waited when its worker is taken from it."""

LIMIT = DEADLINE + AGE
"""When it would end if it began anew then."""

READ = """
import mmap
data = mmap.mmap(-1, 4096)
file = os.open(sys.argv[1], os.O_DIRECT)
print('open', flush=True)
input()
begin = time.monotonic()
try:
    print(data[:os.readv(file, [data])].decode(), end=' ')
except OSError as error:
    print(errno.errorcode[error.errno], end=' ')
print(time.monotonic() - begin)
"""


def opened(path: Path) -> "subprocess.Popen[str]":
    """A process that has opened a file, and will read from it: one request."""
    reader = start(READ, path)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "open\n"
    return reader


def read(reader: "subprocess.Popen[str]") -> None:
    """Let it."""
    assert reader.stdin is not None
    reader.stdin.write("\n")
    reader.stdin.flush()


def ended(reader: "subprocess.Popen[str]") -> tuple[str, float]:
    """How it did, and after how many seconds."""
    output, errors = reader.communicate(timeout=4 * DEADLINE)
    assert reader.returncode == 0, errors
    how, after = output.split()
    return how, float(after)


def kill(keeping: Keeping) -> None:
    worker = keeping.worker
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: worker not in keeping.workers)


def kill_twice(agent: FakeAgent, keeping: Keeping) -> None:
    kill(keeping)
    wait_until(lambda: agent.asked["old", 0] == 2)
    kill(keeping)


def stop(agent: FakeAgent, keeping: Keeping) -> None:
    os.kill(keeping.worker, signal.SIGSTOP)


def kill_the_one_before(agent: FakeAgent, keeping: Keeping) -> None:
    before = keeping.worker
    keeping.process.send_signal(signal.SIGHUP)
    wait_until(lambda: agent.reports[-1].upgrades == 1, within=30)
    os.kill(before, signal.SIGKILL)


@pytest.mark.parametrize("take", [kill_twice, stop, kill_the_one_before])
def test_a_request_ends_by_its_deadline_though_it_outlives_its_worker(
    mount: Mount, take: Callable[[FakeAgent, Keeping], None]
) -> None:
    agent, keeping = mount({"old": b"old", "young": b"young"}, f"--deadline={DEADLINE}")
    assert keeping.spare
    agent.stalled |= {"old", "young"}
    place = keeping.mountpoint
    with opened(place / "old") as old, opened(place / "young") as young:
        read(old)
        wait_until(lambda: agent.asked["old", 0])
        time.sleep(AGE)  # the request's age, not a wait for anything
        read(young)
        wait_until(lambda: agent.asked["young", 0])
        take(agent, keeping)
        how, after = ended(old)
        assert how == "ETIMEDOUT"
        assert after < LIMIT
        agent.stalled.clear()
        assert ended(young)[0] == "young"  # it had time left


def test_without_resend_what_waited_for_a_worker_has_waited(mount: Mount) -> None:
    more = ("--no-resend", f"--deadline={DEADLINE}")
    agent, keeping = mount({"old": b"old"}, *more)
    agent.stalled.add("old")
    with opened(keeping.mountpoint / "old") as old:
        template = keeping.leave_without_workers()
        read(old)
        time.sleep(AGE)  # the request's age, not a wait for anything
        os.kill(template, signal.SIGCONT)
        wait_until(lambda: agent.asked["old", 0])
        how, after = ended(old)
    assert how == "ETIMEDOUT"
    assert after < LIMIT
    agent.stalled.clear()
