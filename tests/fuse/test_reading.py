"""What stands in the snapshot is what a mount reads, byte for byte."""

import hashlib
import json
import random

import pytest

from meshcache.errors import DatasetNotFound, ObjectChanged, OriginUnreachable
from meshcache.units import KIB, MIB
from tests.fuse.conftest import Mount
from tests.fuse.mounts import drop_page_cache, errno_name, outside, start
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

HASH = "import hashlib\nprint(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())"

PIECES = """
import hashlib, json, mmap
digest = hashlib.sha256()
direct = sys.argv[2] == 'direct'
file = os.open(sys.argv[1], os.O_RDONLY | (os.O_DIRECT if direct else 0))
buffer = mmap.mmap(-1, 4 << 20)  # O_DIRECT wants memory that is aligned
for offset, length in json.load(sys.stdin):
    got = os.preadv(file, [memoryview(buffer)[:length]], offset)
    digest.update(buffer[:got])
print(digest.hexdigest())
"""


def test_files_of_every_size_read_as_they_are(mount: Mount) -> None:
    rng = random.Random(1)
    sizes = (0, 1, 4096, MIB - 1, MIB, MIB + 1, 5 * MIB + 7)
    files = {f"dir/{size}.bin": rng.randbytes(size) for size in sizes}
    _, keeping = mount(files)
    for path, data in files.items():
        assert outside(HASH, keeping.mountpoint / path) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("kind", ["buffered", "direct"])
def test_ranges_read_as_they_are_also_over_the_borders_of_blocks(mount: Mount, kind: str) -> None:
    rng = random.Random(2)
    data = rng.randbytes(6 * MIB + 12345)
    _, keeping = mount({"file": data})
    unit = 512 if kind == "direct" else 1
    pieces = [
        (rng.randrange(len(data)) // unit * unit, rng.randrange(1, 3 * MIB) // unit * unit)
        for _ in range(100)
    ] + [(MIB - unit, 2 * unit), (len(data) // unit * unit, 4 * unit)]
    expected = hashlib.sha256()
    for offset, length in pieces:
        expected.update(data[offset : offset + length])
    reader = start(PIECES, keeping.mountpoint / "file", kind)
    output, errors = reader.communicate(json.dumps(pieces), timeout=30)
    assert output.strip() == expected.hexdigest(), errors


def test_a_block_is_asked_for_once_and_then_comes_from_the_page_cache(mount: Mount) -> None:
    data = random.Random(3).randbytes(3 * MIB)
    agent, keeping = mount({"file": data})
    for _ in range(3):
        outside(HASH, keeping.mountpoint / "file")
    assert agent.asked == {("file", index): 1 for index in range(3)}
    drop_page_cache()
    outside(HASH, keeping.mountpoint / "file")
    assert agent.asked == {("file", index): 1 for index in range(3)}  # mapped by the worker


def test_the_next_block_is_asked_for_when_a_reader_passes_the_middle(mount: Mount) -> None:
    agent, keeping = mount({"file": bytes(16 * MIB)}, block_size=4 * MIB)
    code = "file = os.open(sys.argv[1], os.O_RDONLY)\nos.pread(file, int(sys.argv[2]), 0)"
    outside(
        "os.posix_fadvise(os.open(sys.argv[1], os.O_RDONLY), 0, 0, os.POSIX_FADV_RANDOM)\n" + code,
        keeping.mountpoint / "file",
        256 * KIB,
    )
    assert ("file", 1) not in agent.asked
    drop_page_cache()
    outside(code, keeping.mountpoint / "file", 3 * MIB)
    wait_until(lambda: agent.asked["file", 1])


def test_mapped_blocks_stay_within_the_budget_and_go_back(mount: Mount) -> None:
    data = random.Random(4).randbytes(40 * MIB)
    agent, keeping = mount({"file": data}, budget=8 * MIB)
    assert outside(HASH, keeping.mountpoint / "file") == hashlib.sha256(data).hexdigest()
    wait_until(lambda: agent.lent <= 8)
    assert agent.lent > 0
    maps = outside("print(open(sys.argv[1]).read())", f"/proc/{keeping.worker}/maps")
    assert maps.count("memfd:block") <= 9


def test_mapped_blocks_of_small_files_stay_within_their_number(mount: Mount) -> None:
    files = {f"{number:02}": b"%d" % number for number in range(40)}
    agent, keeping = mount(files, most=8)
    read = "os.chdir(sys.argv[1])\nprint(sum(int(open(name).read()) for name in os.listdir()))"
    assert outside(read, keeping.mountpoint) == str(sum(range(40)))
    wait_until(lambda: agent.lent <= 8)
    assert agent.lent > 0


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (OriginUnreachable("s3://x does not answer"), "EIO"),
        (ObjectChanged("x"), "ESTALE"),
        (DatasetNotFound("x"), "ESTALE"),
        (ValueError("a fault of the agent"), "EIO"),
    ],
)
def test_an_error_of_the_agent_is_an_errno_and_may_pass(
    mount: Mount, error: Exception, name: str
) -> None:
    agent, keeping = mount({"file": b"data"})
    agent.errors["file"] = error
    code = "print(open(sys.argv[1], 'rb').read())"
    assert errno_name(code, keeping.mountpoint / "file") == name
    del agent.errors["file"]
    assert outside(code, keeping.mountpoint / "file") == "b'data'"


def test_a_block_that_is_not_as_long_as_it_should_be_is_an_error(mount: Mount) -> None:
    agent, keeping = mount({"file": b"data", "other": b"good"})
    agent.lying.add("file")
    code = "print(open(sys.argv[1], 'rb').read())"
    assert errno_name(code, keeping.mountpoint / "file") == "EIO"
    assert outside(code, keeping.mountpoint / "other") == "b'good'"
    assert agent.lent == 1
