"""Mounts for the tests of this folder."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fuse.agent import FakeAgent
from tests.fuse.mounts import Keeping

Mount = Callable[..., tuple[FakeAgent, Keeping]]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="meshcache-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def mount(open_folder: Path) -> Iterator[Mount]:
    """Mounts files: ``agent, keeping = mount({"a/b": b"..."})``."""
    if os.getuid() or not Path("/dev/fuse").exists() or shutil.which("fusermount3") is None:
        pytest.skip("needs root, /dev/fuse and fusermount3")
    agents: list[FakeAgent] = []
    keepers: list[Keeping] = []

    def make(files: Mapping[str, bytes], *more: str, **options: Any) -> tuple[FakeAgent, Keeping]:
        number = len(agents)
        agent = FakeAgent(open_folder / f"door{number}", files, **options)
        agents.append(agent)
        mountpoint = open_folder / f"mount {number}"  # with a space: mountinfo escapes it
        mountpoint.mkdir()
        keeping = Keeping(agent.path, mountpoint, open_folder / f"log{number}", *more)
        keepers.append(keeping)
        assert keeping.ready, keeping.log
        return agent, keeping

    yield make
    for keeping in keepers:
        keeping.close()
    for agent in agents:
        agent.stop()
        assert agent.lent == 0
