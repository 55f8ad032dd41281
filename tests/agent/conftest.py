"""A fake agent, and commands that ask it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshcache.agent.cli import main
from tests.support.commands import Ran, Run
from tests.support.fake_agent import FakeAgent


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAgent]:
    socket = tmp_path / "agent.sock"
    for name in ("MESHCACHE_AGENT", "MESHCACHE_MESH_KEY_FILE", "MESHCACHE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MESHCACHE_SOCKET", str(socket))
    with FakeAgent(socket=socket) as fake:
        yield fake


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def running(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(list(arguments))
        return Ran(code, *capsys.readouterr())

    return running
