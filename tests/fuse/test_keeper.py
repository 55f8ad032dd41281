"""A mount ends cleanly, and outlives its agent."""

import os
import signal
import time
from pathlib import Path

import pytest

from meshcache.fuse.handshake import CONGESTION_THRESHOLD, MAX_BACKGROUND
from meshcache.fuse.mountinfo import mount_at
from meshcache.fuse.mountpoint import connections, detach, is_mounted, unmount
from meshcache.units import MIB
from tests.fuse.conftest import Mount
from tests.fuse.mounts import Keeping, errno_name, outside, start
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

READ = "print(open(sys.argv[1]).read())"

READ_TWICE = """
file = os.open(sys.argv[1], os.O_RDONLY)
for turn in range(2):
    print(os.pread(file, 100, 0).decode(), flush=True)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    turn or input()
"""

LIMITS = ("max_background", "congestion_threshold")

HOLD = """
file = os.open(sys.argv[1], os.O_RDONLY)
print('open', flush=True)
input()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_unmounts_and_ends_well_and_soon(mount: Mount, number: signal.Signals) -> None:
    agent, keeping = mount({"file": b"data"})
    assert outside(READ, keeping.mountpoint / "file") == "data"
    worker = keeping.worker
    begin = time.monotonic()
    keeping.process.send_signal(number)
    assert keeping.process.wait(10) == 0
    assert time.monotonic() - begin < 2
    assert not is_mounted(keeping.mountpoint)
    assert not Path(f"/proc/{worker}").exists()
    wait_until(lambda: agent.lent == 0)


def test_a_signal_ends_the_mount_also_while_files_are_open_and_readers_wait(mount: Mount) -> None:
    agent, keeping = mount({"file": b"data", "slow": b"never"})
    holder = start(HOLD, keeping.mountpoint / "file")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    agent.stalled.add("slow")
    waiting = start("open(sys.argv[1]).read()", keeping.mountpoint / "slow")
    wait_until(lambda: agent.asked["slow", 0])
    begin = time.monotonic()
    keeping.process.terminate()
    assert keeping.process.wait(10) == 0
    assert time.monotonic() - begin < 2
    assert not is_mounted(keeping.mountpoint)
    assert "files were open" in keeping.log
    _, errors = waiting.communicate(timeout=5)
    assert "Errno" in errors
    holder.communicate("\n", timeout=5)
    agent.stalled.clear()


def test_an_unmount_from_outside_ends_the_keeper_well(mount: Mount) -> None:
    _, keeping = mount({"file": b"data"})
    assert is_mounted(keeping.mountpoint)
    unmount(keeping.mountpoint)
    assert keeping.process.wait(5) == 0
    assert not is_mounted(keeping.mountpoint)


def test_the_keeper_sleeps_while_its_worker_answers(mount: Mount) -> None:
    """Whoever waits for the device is woken with each request."""
    _, keeping = mount({f"{number}": b"" for number in range(1000)})
    before, asked = _sleeps(keeping.process.pid), keeping.requests
    code = "print(sum(os.path.exists(f'{sys.argv[1]}/{number}') for number in range(1000)))"
    assert outside(code, keeping.mountpoint) == "1000"
    assert keeping.requests - asked >= 1000
    assert _sleeps(keeping.process.pid) - before < 100


def _sleeps(pid: int) -> int:
    """How often a process began to wait for something."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("voluntary_ctxt")).split()[1])


def test_an_unmount_is_noticed_though_the_worker_stands_still(mount: Mount) -> None:
    _, keeping = mount({"file": b"data"})
    os.kill(keeping.worker, signal.SIGSTOP)
    detach(keeping.mountpoint)
    assert keeping.process.wait(30) == 0


def test_a_lazy_unmount_lets_open_files_be_read_to_their_end(mount: Mount) -> None:
    _, keeping = mount({"file": b"data"})
    code = HOLD + "print(os.pread(file, 9, 0))"
    holder = start(code, keeping.mountpoint / "file")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    outside(
        "import subprocess\nsubprocess.run(['umount', '-l', sys.argv[1]], check=True)",
        keeping.mountpoint,
    )
    assert keeping.process.poll() is None
    output, _ = holder.communicate("\n", timeout=10)
    assert output == "b'data'\n"
    assert keeping.process.wait(5) == 0


def test_forced_unmount_frees_a_mount_whose_worker_hangs(mount: Mount) -> None:
    _, keeping = mount({"file": b"data"})
    os.kill(keeping.worker, signal.SIGSTOP)
    waiting = start("open(sys.argv[1]).read()", keeping.mountpoint / "file")
    time.sleep(0.2)  # it may or may not wait by now: freed in both cases
    unmount(keeping.mountpoint, force=True)
    waiting.communicate(timeout=5)
    assert mount_at(keeping.mountpoint) is None
    assert keeping.process.wait(5) == 0


def test_the_death_of_the_keeper_ends_the_worker_and_the_next_mount_clears_up(
    mount: Mount,
) -> None:
    agent, keeping = mount({"file": b"data"})
    of_its = [keeping.worker, keeping.spare, *keeping.templates]
    os.kill(keeping.worker, signal.SIGSTOP)  # one that hangs ends, too
    keeping.process.kill()
    keeping.process.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in of_its))
    assert is_mounted(keeping.mountpoint)
    assert errno_name(READ, keeping.mountpoint / "file") == "ENOTCONN"
    again = Keeping(agent.path, keeping.mountpoint, keeping.log_path)
    try:
        assert again.ready, again.log
        assert outside(READ, keeping.mountpoint / "file") == "data"
    finally:
        again.close()


def test_signals_to_the_worker_do_not_end_the_mount(mount: Mount) -> None:
    _, keeping = mount({"file": b"data"})
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(keeping.worker, number)
    assert outside(READ, keeping.mountpoint / "file") == "data"


def test_a_mount_outlives_its_agent(mount: Mount) -> None:
    files = {"warm": bytes(MIB), "gone": b"gone", "cold": b"cold", "stuck": b"stuck"}
    agent, keeping = mount(files)
    outside(READ, keeping.mountpoint / "warm")
    holding = start(READ_TWICE, keeping.mountpoint / "gone")
    assert holding.stdout is not None
    assert holding.stdout.readline() == "gone\n"
    agent.stalled.add("stuck")
    stuck = start(READ, keeping.mountpoint / "stuck")
    wait_until(lambda: agent.asked["stuck", 0])
    agent.stop()
    wait_until(lambda: "closed the door" in keeping.log)
    dropping = "os.posix_fadvise(os.open(sys.argv[1], 0), 0, 0, os.POSIX_FADV_DONTNEED)\n"
    assert outside(dropping + READ, keeping.mountpoint / "warm") == "\0" * MIB
    waiting = start(READ, keeping.mountpoint / "cold")
    wait_until(lambda: "no new door" in keeping.log)
    agent.stalled.clear()
    del files["gone"]
    agent.show(files | {"new": b"new"})
    agent.start()
    for reader, content in ((waiting, "cold\n"), (stuck, "stuck\n")):
        output, errors = reader.communicate(timeout=15)
        assert output == content, errors
    wait_until(lambda: outside("print(os.listdir(sys.argv[1]))", keeping.mountpoint).count("new"))
    assert agent.doors == 2
    # What is mapped from before is no loan of the new agent's, so it is lent anew ...
    assert outside(dropping + READ, keeping.mountpoint / "warm") == "\0" * MIB
    assert agent.asked["warm", 0] == 2
    # ... but for a file that is gone: it is read from the only place that still has it.
    output, errors = holding.communicate("\n", timeout=15)
    assert output == "gone\n", errors
    assert agent.asked["gone", 0] == 1


def test_without_an_agent_a_request_ends_at_its_deadline(mount: Mount) -> None:
    agent, keeping = mount({"file": b"data"}, "--deadline=0.5")
    agent.stop()
    assert errno_name(READ, keeping.mountpoint / "file") == "ETIMEDOUT"
    agent.start()
    wait_until(lambda: agent.doors == 2)
    assert outside(READ, keeping.mountpoint / "file") == "data"
    keeping.process.terminate()
    assert keeping.process.wait(5) == 0


def test_the_kernel_reads_ahead_as_far_as_was_asked_for(mount: Mount) -> None:
    _, keeping = mount({"file": b"data"})
    mounted = mount_at(keeping.mountpoint)
    assert mounted is not None
    setting = f"/sys/class/bdi/{mounted.bdi}/read_ahead_kb"
    if not os.access(setting, os.W_OK):
        pytest.skip("/sys is read-only here")
    assert outside("print(open(sys.argv[1]).read())", setting).strip() == "1024"


def test_the_kernel_keeps_as_many_requests_in_flight_as_we_can_answer(mount: Mount) -> None:
    _, keeping = mount({"file": b"data"})
    mounted = mount_at(keeping.mountpoint)
    assert mounted is not None
    with connections() as folder:
        folder /= str(mounted.connection)
        limits = [int((folder / name).read_text()) for name in LIMITS]
    assert limits == [MAX_BACKGROUND, CONGESTION_THRESHOLD]


def test_a_door_that_closes_at_once_is_not_asked_for_again_and_again(mount: Mount) -> None:
    agent, keeping = mount({"file": b"data"})
    agent.greets = False
    agent.stop()
    agent.start()
    wait_until(lambda: agent.doors >= 4)
    seen, begin = agent.doors, time.monotonic()
    wait_until(lambda: agent.doors >= seen + 2)
    assert time.monotonic() - begin > 0.5
    agent.greets = True
    assert outside(READ, keeping.mountpoint / "file") == "data"
