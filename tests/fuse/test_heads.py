"""A new head: new names and bytes for who looks them up, the old ones for who has them open."""

import hashlib
import itertools
import random
from pathlib import Path

import pytest

from meshcache.errors import ObjectChanged
from meshcache.fuse import invalidate
from meshcache.fuse.shown import MAX_SHOWN
from meshcache.units import MIB
from tests.fuse.conftest import Mount
from tests.fuse.mounts import drop_page_cache, outside, start, undisturbed
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

HASH = "import hashlib\nprint(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())"

HOLD = """
import hashlib
try:
    file = os.open(sys.argv[1], os.O_RDONLY)
    print(os.pread(file, 5, 0), flush=True)
    input()
    print(hashlib.sha256(os.pread(file, 1 << 30, 0)).hexdigest())
except OSError as error:
    print(errno.errorcode[error.errno])
"""

UNTIL = """
end = time.monotonic() + 10
while True:
    try: content = open(sys.argv[1]).read()
    except FileNotFoundError: content = 'absent'
    if content == sys.argv[2]: break
    assert time.monotonic() < end, content
    time.sleep(0.01)
"""


def wait_for(path: Path, content: str) -> None:
    outside(UNTIL, path, content)


def test_names_change_appear_and_go_and_the_kernel_forgets_the_old(mount: Mount) -> None:
    before = {"same": b"same", "changed": b"old", "gone": b"here", "dir/x": b"1", "gone dir/x": b""}
    after = {"same": b"same", "changed": b"newer", "new": b"new", "dir/y": b"2", "new dir/z": b""}
    agent, keeping = mount(before)
    place = keeping.mountpoint
    for path in {*before, *after}:  # so that the kernel remembers names, and absences
        outside(UNTIL, place / path, before.get(path, b"absent").decode())
    agent.show(after)
    for path in {*before, *after}:
        wait_for(place / path, after.get(path, b"absent").decode())
    listed = "print(sorted(os.listdir(sys.argv[1])))"
    assert outside(listed, place) == "['changed', 'dir', 'new', 'new dir', 'same']"
    assert outside(listed, place / "dir") == "['y']"


def test_an_unchanged_file_stays_in_the_page_cache(mount: Mount) -> None:
    data = random.Random(1).randbytes(16 * MIB)
    heads = itertools.count(2)
    agent, keeping = mount({"same": data, "other": b"1"}, budget=1)

    def read_under_a_new_head() -> int:
        outside(HASH, keeping.mountpoint / "same")
        head = b"%d" % next(heads)
        agent.show({"same": data, "other": head})
        wait_for(keeping.mountpoint / "other", head.decode())
        requests = keeping.requests
        assert outside(HASH, keeping.mountpoint / "same") == hashlib.sha256(data).hexdigest()
        return keeping.requests - requests

    # Opened and closed, and the attributes of its directory; each MiB read would be one more.
    assert undisturbed(read_under_a_new_head) <= 5


@pytest.mark.parametrize("origin_still_has_it", [True, False])
def test_an_open_file_that_was_replaced_reads_its_own_bytes_or_is_stale(
    mount: Mount, origin_still_has_it: bool
) -> None:
    old, new = (random.Random(seed).randbytes(3 * MIB) for seed in (1, 2))
    agent, keeping = mount({"file": old, "mark": b"1"}, budget=1)
    reader = start(HOLD, keeping.mountpoint / "file")
    assert reader.stdout is not None
    assert reader.stdout.readline().strip() == str(old[:5])
    agent.show({"file": new, "mark": b"2"})
    wait_for(keeping.mountpoint / "mark", "2")
    assert outside(HASH, keeping.mountpoint / "file") == hashlib.sha256(new).hexdigest()
    if not origin_still_has_it:
        agent.errors["file"] = ObjectChanged("file is another one now")
    drop_page_cache()
    output, errors = reader.communicate("\n", timeout=20)
    expected = hashlib.sha256(old).hexdigest() if origin_still_has_it else "ESTALE"
    assert output.strip() == expected, errors


def test_a_file_open_since_too_many_heads_is_stale(mount: Mount) -> None:
    agent, keeping = mount({"x": b"first"})
    reader = start(HOLD.replace("os.pread(file, 5, 0)", "'open'"), keeping.mountpoint / "x")
    assert reader.stdout is not None
    assert reader.stdout.readline() == "open\n"
    for number in range(MAX_SHOWN + 1):
        agent.show({"x": b"%d" % number})
        wait_for(keeping.mountpoint / "x", str(number))
    drop_page_cache()  # who waited for the first of them may have read the old file meanwhile
    output, errors = reader.communicate("\n", timeout=10)
    assert output.strip() == "ESTALE", errors


def test_a_file_may_become_a_directory_and_back(mount: Mount) -> None:
    agent, keeping = mount({"a": b"file"})
    wait_for(keeping.mountpoint / "a", "file")
    agent.show({"a/b": b"below"})
    code = UNTIL.replace("FileNotFoundError", "OSError")
    outside(code, keeping.mountpoint / "a/b", "below")
    agent.show({"a": b"file again"})
    outside(code, keeping.mountpoint / "a", "file again")


def test_a_head_that_changes_very_many_names_is_shown_too(mount: Mount) -> None:
    count = invalidate.EPOCH_FROM + 10
    agent, keeping = mount({f"d/{number}": b"" for number in range(count)} | {"mark": b"1"})
    wait_for(keeping.mountpoint / "mark", "1")
    wait_for(keeping.mountpoint / "d/5", "")
    wait_for(keeping.mountpoint / "d/new", "absent")
    agent.show({f"d/{number}": b"%d" % number for number in range(count)} | {"d/new": b"here"})
    wait_for(keeping.mountpoint / "d/5", "5")
    wait_for(keeping.mountpoint / "d/new", "here")
    wait_for(keeping.mountpoint / "mark", "absent")
    wait_until(lambda: f"changed={2 * count + 2}" in keeping.log)


def test_heads_that_follow_each_other_fast_end_at_the_last(mount: Mount) -> None:
    agent, keeping = mount({"x": b"start"})
    wait_for(keeping.mountpoint / "x", "start")
    for number in range(200):
        agent.show({"x": b"%d" % number})
    wait_for(keeping.mountpoint / "x", "199")


CHANGED_WHILE_OPENED = """
try: print(open(sys.argv[1]).read())
except OSError as error: print(errno.errorcode[error.errno])
"""


def test_an_open_waits_for_the_agents_word_if_the_agent_wants_that(mount: Mount) -> None:
    agent, keeping = mount({"x": b"first"})
    read = keeping.mountpoint / "x"
    assert outside(CHANGED_WHILE_OPENED, read) == "first"
    assert agent.opened_rows == []
    agent.watching = "ask"
    agent.show({"x": b"second"})
    wait_for(read, "second")
    asked = len(agent.opened_rows)
    assert outside(CHANGED_WHILE_OPENED, read) == "second"
    assert len(agent.opened_rows) == asked + 1
    agent.open_error = ObjectChanged("x is another one now")
    assert outside(CHANGED_WHILE_OPENED, read) == "ESTALE"
    agent.watching, agent.open_error = "tell", None
    agent.show({"x": b"third"})
    wait_for(read, "third")
    wait_until(lambda: outside(CHANGED_WHILE_OPENED, read) == "third" and agent.opened_rows[-1:])


def test_a_file_that_was_found_changed_when_it_was_opened_is_opened_as_it_is_now(
    mount: Mount,
) -> None:
    agent, keeping = mount({"x": b"first"})
    read = keeping.mountpoint / "x"
    assert outside(CHANGED_WHILE_OPENED, read) == "first"
    agent.watching = "ask"
    agent.show({"x": b"first", "mark": b""})
    wait_for(keeping.mountpoint / "mark", "")
    agent.change_at_open = {"x": b"now"}
    assert outside(CHANGED_WHILE_OPENED, read) == "now"
