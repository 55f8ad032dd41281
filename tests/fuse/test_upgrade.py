"""The worker is replaced by one of the program as it is installed now, and readers see nothing."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from benchmarks.load import Load, write_files
from meshcache.units import KIB, MIB
from tests.fuse.conftest import Mount
from tests.fuse.mounts import Keeping, outside, start
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

READ = "print(open(sys.argv[1]).read())"


def upgrade(keeping: Keeping) -> None:
    keeping.process.send_signal(signal.SIGHUP)


def test_readers_see_nothing_of_upgrades(mount: Mount, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    files = {f"large/{n}": chance.randbytes(4 * MIB) for n in range(4)}
    files |= {f"small/{n}": chance.randbytes(chance.randrange(1, 64 * KIB)) for n in range(100)}
    agent, keeping = mount(files, block_size=256 * KIB)
    with Load(keeping.mountpoint, write_files(tmp_path, files), seed) as load:
        for turn in range(1, 4):
            before = keeping.worker
            upgrade(keeping)
            wait_until(lambda: agent.reports[-1].upgrades == turn, within=30)  # noqa: B023
            wait_until(lambda: before not in keeping.workers)  # noqa: B023
            wait_until(lambda: len(keeping.templates) == 1)
            assert keeping.worker == agent.reports[-1].worker != before
            print("pause", agent.reports[-1].pause)
        report = load.end()
    assert report.errors == []
    assert report.wrong == 0
    assert report.operations > 100
    assert agent.reports[-1].restarts == 0
    assert "a worker died" not in keeping.log


def test_what_was_being_answered_is_answered_by_the_worker_before(mount: Mount) -> None:
    agent, keeping = mount({"slow": b"slow", "file": b"data"})
    before = keeping.worker
    agent.stalled.add("slow")
    slow = start(READ, keeping.mountpoint / "slow")
    wait_until(lambda: agent.asked["slow", 0])
    upgrade(keeping)
    wait_until(lambda: agent.reports[-1].upgrades == 1, within=30)
    assert outside(READ, keeping.mountpoint / "file") == "data"
    assert before in keeping.workers
    upgrade(keeping)  # one after the other
    agent.stalled.clear()
    output, errors = slow.communicate(timeout=10)
    assert output == "slow\n", errors
    assert agent.asked["slow", 0] == 1
    wait_until(lambda: before not in keeping.workers)
    wait_until(lambda: agent.reports[-1].upgrades == 2, within=30)


def test_a_worker_that_dies_while_it_is_replaced_takes_nothing_with_it(mount: Mount) -> None:
    agent, keeping = mount({"slow": b"slow", "file": b"data"})
    before = keeping.worker
    agent.stalled.add("slow")
    slow = start(READ, keeping.mountpoint / "slow")
    wait_until(lambda: agent.asked["slow", 0])
    upgrade(keeping)
    wait_until(lambda: agent.reports[-1].upgrades == 1, within=30)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: agent.asked["slow", 0] == 2)
    agent.stalled.clear()
    output, errors = slow.communicate(timeout=10)
    assert output == "slow\n", errors
    assert outside(READ, keeping.mountpoint / "file") == "data"


def test_a_worker_that_dies_while_its_successor_starts_is_succeeded_by_it(mount: Mount) -> None:
    agent, keeping = mount({"file": b"data"})
    upgrade(keeping)
    wait_until(lambda: len(keeping.templates) == 2)
    os.kill(keeping.worker, signal.SIGKILL)
    assert outside(READ, keeping.mountpoint / "file") == "data"
    wait_until(lambda: agent.reports[-1].upgrades == 1, within=30)
    wait_until(lambda: len(keeping.templates) == 1)


def test_another_version_is_said_and_a_broken_one_changes_nothing(
    mount: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    agent, keeping = mount({"file": b"data"})
    hook = tmp_path / "sitecustomize.py"
    hook.write_text("import meshcache\nmeshcache.__version__ = '99.1'\n")
    upgrade(keeping)
    wait_until(lambda: agent.reports[-1].version == "99.1", within=30)
    serving = agent.reports[-1].worker
    hook.write_text("import os\nos._exit(7)\n")
    upgrade(keeping)
    wait_until(lambda: agent.reports[-1].failed == 1, within=30)
    assert "exit code 7" in agent.reports[-1].problem
    assert agent.reports[-1].worker == serving
    # It can still be replaced when it dies, by one like it.
    wait_until(lambda: len(keeping.workers) == 2)
    os.kill(serving, signal.SIGKILL)
    assert outside(READ, keeping.mountpoint / "file") == "data"
    wait_until(lambda: agent.reports[-1].worker not in (0, serving))
    assert agent.reports[-1].version == "99.1"


def test_without_an_agent_the_worker_stays(mount: Mount) -> None:
    agent, keeping = mount({"file": b"data"})
    outside(READ, keeping.mountpoint / "file")
    before = keeping.worker
    agent.stop()
    wait_until(lambda: "closed the door" in keeping.log)
    upgrade(keeping)
    wait_until(lambda: len(keeping.templates) == 2)
    time.sleep(0.5)
    assert keeping.worker == before
    agent.start()  # and is replaced when it is there again
    wait_until(lambda: agent.reports[-1].upgrades == 1, within=30)
    assert outside(READ, keeping.mountpoint / "file") == "data"
