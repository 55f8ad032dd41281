"""What hangs, hangs alone, and not for ever."""

import hashlib
import random
import time
from pathlib import Path

import pytest

from meshcache.units import KIB, MIB
from tests.fuse.conftest import Mount
from tests.fuse.mounts import errno_name, outside, start
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

BLOCK = 256 * KIB

MANY = """
import threading
file = os.open(sys.argv[1], os.O_RDONLY | int(sys.argv[4]))
import mmap
done = []
def read(index):
    buffer = mmap.mmap(-1, 4096)
    done.append(os.preadv(file, [buffer], index * int(sys.argv[3])))
threads = [threading.Thread(target=read, args=[n]) for n in range(int(sys.argv[2]))]
for thread in threads: thread.start()
print('reading', flush=True)
for thread in threads: thread.join()
print(sum(done))
"""

WARM = """
import hashlib
def cold():
    with open(sys.argv[1], 'rb') as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return hashlib.sha256(file.read()).hexdigest()
cold()
slowest = 0
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    digest = cold()
    os.listdir(os.path.dirname(sys.argv[1]))
    slowest = max(slowest, time.perf_counter() - start)
print(digest, slowest)
"""


@pytest.mark.parametrize("direct", [0, 0o40000], ids=["buffered", "direct"])
def test_a_stalled_origin_does_not_delay_warm_reads(mount: Mount, direct: int) -> None:
    readers = 300
    warm = random.Random(1).randbytes(4 * MIB)
    files = {"stalled": bytes(readers * BLOCK), "warm": warm}
    agent, keeping = mount(files, block_size=BLOCK)
    outside(WARM, keeping.mountpoint / "warm", 1)
    agent.stalled.add("stalled")
    stuck = start(MANY, keeping.mountpoint / "stalled", readers, BLOCK, direct)
    wait_until(lambda: sum(1 for path, _ in agent.asked if path == "stalled") == readers)
    digest, slowest = outside(WARM, keeping.mountpoint / "warm", 30).split()
    assert digest == hashlib.sha256(warm).hexdigest()
    assert float(slowest) < 1.0
    assert stuck.poll() is None
    agent.stalled.clear()
    output, errors = stuck.communicate(timeout=30)
    assert output.split() == ["reading", str(readers * 4096)], errors


FIRST = """
file = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)  # the kernel asks for what is read alone
print(os.pread(file, 4096, 8192).hex(), flush=True)
print(os.pread(file, 4096, 512 << 10).hex(), flush=True)
"""


def test_the_first_bytes_of_a_block_are_read_before_its_last_have_come(mount: Mount) -> None:
    data = random.Random(4).randbytes(MIB + 5000)
    agent, keeping = mount({"file": data})
    agent.stalled.add("file")
    agent.come["file"] = 256 * KIB
    reader = start(FIRST, keeping.mountpoint / "file")
    assert reader.stdout is not None
    assert reader.stdout.readline().strip() == data[8192 : 8192 + 4096].hex()
    wait_until(lambda: len(agent.peeks) == 2)
    assert agent.lent == 0
    agent.stalled.clear()
    output, errors = reader.communicate(timeout=30)
    assert output.strip() == data[512 * KIB :][:4096].hex(), errors
    assert agent.peeks == [("file", 8192, 8192 + 4096), ("file", 512 * KIB, 512 * KIB + 4096)]
    assert agent.asked["file", 0] == 1


def test_a_request_ends_at_its_deadline_and_the_block_may_still_come(mount: Mount) -> None:
    agent, keeping = mount({"file": b"data"}, "--deadline=0.5")
    agent.stalled.add("file")
    begin = time.monotonic()
    for flags in ("os.O_RDONLY", "os.O_RDONLY | os.O_DIRECT"):
        code = f"import mmap\nos.readv(os.open(sys.argv[1], {flags}), [mmap.mmap(-1, 4096)])"
        assert errno_name(code, keeping.mountpoint / "file") == "ETIMEDOUT"
    assert time.monotonic() - begin < 5
    assert agent.asked["file", 0] == 1  # the second reader joined the same wish
    agent.stalled.clear()
    wait_until(lambda: agent.lent == 1)
    assert outside("print(open(sys.argv[1]).read())", keeping.mountpoint / "file") == "data"
    assert agent.asked["file", 0] == 1


def test_a_reader_that_waits_can_be_killed(mount: Mount) -> None:
    agent, keeping = mount({"file": b"data"})
    agent.stalled.add("file")
    reader = start("open(sys.argv[1]).read()", keeping.mountpoint / "file")
    wait_until(lambda: agent.asked)
    reader.kill()
    begin = time.monotonic()
    reader.communicate(timeout=10)
    assert time.monotonic() - begin < 2


def test_the_worker_s_memory_does_not_grow_with_what_is_read(mount: Mount) -> None:
    agent, keeping = mount({"file": random.Random(2).randbytes(60 * MIB)}, budget=8 * MIB)
    code = "print(len(open(sys.argv[1], 'rb').read()))"
    outside(code, keeping.mountpoint / "file")
    before = _anonymous(keeping.worker)
    for _ in range(3):
        outside(
            "os.posix_fadvise(os.open(sys.argv[1], os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)\n"
            + code,
            keeping.mountpoint / "file",
        )
    assert sum(agent.asked.values()) > 200
    assert _anonymous(keeping.worker) < before + 4 * MIB


def _anonymous(pid: int) -> int:
    with Path(f"/proc/{pid}/status").open() as status:
        (line,) = (line for line in status if line.startswith("RssAnon:"))
    return int(line.split()[1]) * KIB
