"""A mount outlives its workers: who reads waits a moment, and sees nothing of it."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from benchmarks.load import Load, write_files
from meshcache.units import KIB, MIB
from tests.fuse.conftest import Mount
from tests.fuse.mounts import Keeping, errno_name, outside, start
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

BLOCK = 256 * KIB
READ = "print(open(sys.argv[1]).read())"

READ_ON = """
file = os.open(sys.argv[1], os.O_RDONLY)
while line := sys.stdin.readline():
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    print(os.pread(file, 100, 0).decode(), flush=True)
"""


def files_of(seed: int) -> dict[str, bytes]:
    """Files of many sizes, in folders."""
    chance = random.Random(seed)
    files = {f"large/{n}": chance.randbytes(4 * MIB + n) for n in range(4)}
    return files | {
        f"small/{n % 7}/{n}": chance.randbytes(chance.randrange(1, 64 * KIB)) for n in range(200)
    }


def a_seed() -> int:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    return seed


def kill(keeping: Keeping) -> float:
    """Kill the worker that serves, by SIGKILL, and see it gone; gives when."""
    worker = keeping.worker
    moment = time.time()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: worker not in keeping.workers, within=30, every=0.002)
    return moment


def test_no_reader_sees_that_workers_are_killed(mount: Mount, tmp_path: Path) -> None:
    seed = a_seed()
    chance = random.Random(seed)
    files = files_of(seed)
    agent, keeping = mount(files, block_size=BLOCK)
    with Load(keeping.mountpoint, write_files(tmp_path, files), seed) as load:
        moments = []
        for _ in range(8):
            time.sleep(chance.uniform(0.1, 0.6))  # the load's time, not a wait for anything
            moments.append(kill(keeping))
        assert keeping.worker
        report = load.end()
    print("pauses", report.pauses(moments), "operations", report.operations)
    assert report.errors == []
    assert report.wrong == 0
    assert report.operations > 100
    wait_until(lambda: keeping.log.count("a worker died") == 8)
    assert agent.doors == 1
    assert agent.lent < 64  # what was lent to the dead ones was given back


def test_without_resend_only_requests_in_the_worker_s_hands_fail_and_once(
    mount: Mount, tmp_path: Path
) -> None:
    seed = a_seed()
    files = files_of(seed) | {"stuck": b"stuck", "late": b"late"}
    agent, keeping = mount(files, "--no-resend", block_size=BLOCK)
    assert "fails, once" in keeping.log
    agent.stalled.add("stuck")
    direct = "import mmap\nos.readv(os.open(sys.argv[1], os.O_DIRECT), [mmap.mmap(-1, 4096)])"
    stuck = start(direct, keeping.mountpoint / "stuck")
    wait_until(lambda: agent.asked["stuck", 0])
    kill(keeping)
    _, errors = stuck.communicate(timeout=10)
    assert "ECONNABORTED" in errors or "Errno 103" in errors
    agent.stalled.clear()
    for name in ("stuck", "late"):
        assert outside(READ, keeping.mountpoint / name) == name
    kinds = ("buffered", "held", "direct", "names")  # a mapping's failure would be its death
    with Load(keeping.mountpoint, write_files(tmp_path, files), seed, kinds) as load:
        for _ in range(3):
            time.sleep(0.2)
            kill(keeping)
        report = load.end()
    print(report.errors)
    assert len(report.errors) <= 3 * 4  # four readers, each with one request at a time
    assert all("ECONNABORTED" in error for error in report.errors)
    assert report.wrong == 0


def test_a_request_that_waits_for_the_agent_is_taken_over(mount: Mount) -> None:
    agent, keeping = mount({"stuck": b"stuck"})
    agent.stalled.add("stuck")
    stuck = start(READ, keeping.mountpoint / "stuck")
    wait_until(lambda: agent.asked["stuck", 0])
    kill(keeping)
    wait_until(lambda: agent.asked["stuck", 0] == 2)
    agent.stalled.clear()
    output, errors = stuck.communicate(timeout=10)
    assert output == "stuck\n", errors


def test_the_next_worker_names_all_that_was_shown_without_any_agent(mount: Mount) -> None:
    agent, keeping = mount({"gone/file": b"gone", "stays": b"stays"})
    reader = start(READ_ON, keeping.mountpoint / "gone/file")
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write("\n")
    reader.stdin.flush()
    assert reader.stdout.readline() == "gone\n"
    agent.show({"stays": b"stays", "new": b"new"})
    wait_until(lambda: outside("print(os.listdir(sys.argv[1]))", keeping.mountpoint).count("new"))
    agent.stop()
    wait_until(lambda: "closed the door" in keeping.log)
    kill(keeping)
    for name, size in (("stays", 5), ("new", 3)):
        look = "print(os.stat(sys.argv[1]).st_size)"
        assert outside(look, keeping.mountpoint / name) == str(size)
    assert errno_name("os.stat(sys.argv[1])", keeping.mountpoint / "gone") == "ENOENT"
    reader.stdin.write("\n")
    reader.stdin.flush()
    wait_until(lambda: "no new door" in keeping.log)
    agent.start()
    assert outside(READ, keeping.mountpoint / "new") == "new"
    output, errors = reader.communicate(timeout=15)
    assert output == "gone\n", errors


def test_a_new_head_is_shown_whenever_the_worker_dies_meanwhile(mount: Mount) -> None:
    chance = random.Random(a_seed())
    agent, keeping = mount({"file": b"0", "other": b""})
    look = "print(open(sys.argv[1]).read(), os.path.exists(sys.argv[2]))"
    for turn in range(1, 8):
        absent = keeping.mountpoint / f"new {turn}"
        assert outside(look, keeping.mountpoint / "file", absent) == f"{turn - 1} False"
        agent.show({"file": str(turn).encode(), "other": b"", absent.name: b""})
        time.sleep(chance.uniform(0, 0.01))  # into the middle of it, now and then
        kill(keeping)
        expected = f"{turn} True"
        wait_until(lambda: outside(look, keeping.mountpoint / "file", absent) == expected)  # noqa: B023


def test_the_death_of_the_template_is_nothing_to_readers(mount: Mount) -> None:
    _, keeping = mount({"file": b"data"})
    (template,) = keeping.templates
    serving, spare = keeping.worker, keeping.spare
    os.kill(template, signal.SIGKILL)
    assert outside(READ, keeping.mountpoint / "file") == "data"
    wait_until(lambda: set(keeping.templates) - {template})
    os.kill(serving, signal.SIGKILL)  # the spare takes over, and the new template forks the next
    assert outside("print(os.listdir(sys.argv[1]))", keeping.mountpoint) == "['file']"
    wait_until(lambda: keeping.workers)
    os.kill(spare, signal.SIGKILL)
    assert outside(READ, keeping.mountpoint / "file") == "data"
    assert keeping.worker not in (serving, spare)
    assert keeping.process.poll() is None
