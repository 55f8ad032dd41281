"""Every request ends, in data or in an errno, whatever hangs or dies below."""

import contextlib
import errno
import os
import signal
import time

import pytest

from benchmarks import workers
from tests.fuse.conftest import Mount
from tests.fuse.mounts import errno_name, outside, start
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

READ = "print(open(sys.argv[1]).read())"
DIRECT = "import mmap\nos.readv(os.open(sys.argv[1], os.O_DIRECT), [mmap.mmap(-1, 4096)])"


@pytest.mark.parametrize("resend", [True, False])
def test_without_any_worker_requests_end_at_their_deadline(mount: Mount, resend: bool) -> None:
    more = () if resend else ("--no-resend",)
    _, keeping = mount({"file": b"data"}, "--deadline=1.5", *more)
    template = keeping.leave_without_workers()
    begin = time.monotonic()
    for code in (DIRECT, READ, "os.listdir(sys.argv[1])"):
        path = keeping.mountpoint if "listdir" in code else keeping.mountpoint / "file"
        assert errno_name(code, path) == "ETIMEDOUT"
    assert time.monotonic() - begin < 15
    os.kill(template, signal.SIGCONT)
    wait_until(lambda: workers.serving(keeping.process.pid))
    assert outside(READ, keeping.mountpoint / "file") == "data"


def test_without_any_worker_a_reader_can_be_killed_and_a_mount_ended(mount: Mount) -> None:
    _, keeping = mount({"file": b"data"})
    template = keeping.leave_without_workers()
    waiting = start(DIRECT, keeping.mountpoint / "file")
    fuse = f"/proc/{waiting.pid}/wchan"
    with open(fuse) as wchan:  # noqa: PTH123
        wait_until(lambda: "request_wait" in (wchan.seek(0), wchan.read())[1])
    waiting.kill()
    waiting.communicate(timeout=3)
    keeping.process.terminate()
    assert keeping.process.wait(10) == 0
    assert not os.path.exists(f"/proc/{template}")  # noqa: PTH110


def test_a_worker_that_hangs_is_replaced_before_a_deadline(mount: Mount) -> None:
    _, keeping = mount({"file": b"data"}, "--deadline=4")
    os.kill(keeping.worker, signal.SIGSTOP)
    assert outside(READ, keeping.mountpoint / "file") == "data"
    assert "a worker hangs" in keeping.log


@pytest.mark.slow
def test_a_spare_that_hangs_when_it_takes_over_is_replaced_too(mount: Mount) -> None:
    _, keeping = mount({"file": b"data"}, "--deadline=20")
    os.kill(keeping.spare, signal.SIGSTOP)
    os.kill(keeping.worker, signal.SIGKILL)
    assert outside(READ, keeping.mountpoint / "file") == "data"


def test_a_deadline_can_be_said_as_eio(mount: Mount) -> None:
    agent, keeping = mount({"file": b"data"}, "--deadline=0.5", f"--too-late={errno.EIO}")
    agent.stalled.add("file")
    for code in (DIRECT, READ):
        assert errno_name(code, keeping.mountpoint / "file") == "EIO"
    agent.stalled.clear()


def test_a_request_that_every_worker_dies_of_is_given_up_and_the_mount_lives(mount: Mount) -> None:
    agent, keeping = mount({"poison": b"poison", "file": b"data"})
    agent.stalled.add("poison")
    code = f"try:\n    {DIRECT.replace(chr(10), '; ')}\nexcept OSError as error: print(error.errno)"
    asker = start(code, keeping.mountpoint / "poison")
    deaths = 0
    while asker.poll() is None and deaths < 20:
        with contextlib.suppress(AssertionError):
            wait_until(lambda: agent.asked["poison", 0] > deaths or asker.poll(), within=2)  # noqa: B023
        if asker.poll() is None:
            os.kill(keeping.worker, signal.SIGKILL)
            deaths += 1
    output, errors = asker.communicate(timeout=10)
    assert output == f"{errno.EIO}\n", errors
    assert outside(READ, keeping.mountpoint / "file") == "data"
    wait_until(lambda: agent.reports[-1].state == "serving")
    assert agent.reports[-1].restarts == deaths
    agent.stalled.clear()


def test_workers_that_die_again_and_again_are_slowed_down_and_that_is_said(mount: Mount) -> None:
    agent, keeping = mount({"file": b"data"})
    while "MountWorkerCrashLoop" not in keeping.log:
        with contextlib.suppress(ProcessLookupError):  # it was dying already
            os.kill(keeping.worker, signal.SIGKILL)
    wait_until(lambda: any(report.state == "slowed" for report in agent.reports))
    assert outside(READ, keeping.mountpoint / "file") == "data"
    wait_until(lambda: agent.reports[-1].state == "serving")
    assert "MountWorkerRecovered" in keeping.log
