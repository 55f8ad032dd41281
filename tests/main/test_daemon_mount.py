"""A mount that stays when the command has returned."""

import asyncio
import sys
from pathlib import Path

import pytest
import uvloop

from meshcache.fuse.mountinfo import mount_at
from tests.main.conftest import Origin
from tests.support.agents import LIMIT, Agent, Mesh, command, digest, environment

pytestmark = pytest.mark.fuse


@pytest.fixture
def one(mesh: Mesh, origin: Origin) -> Agent:
    """An agent that has a dataset, and a directory for it."""
    origin.put("file", b"y" * 5000)
    (one,) = mesh.start("one")
    origin.create(one)
    mountpoint = one.folder / "mnt"
    mountpoint.mkdir()
    mesh.mountpoints.append(mountpoint)
    return one


def test_it_answers_when_the_command_returns(one: Agent, tmp_path: Path) -> None:
    mountpoint = one.folder / "mnt"
    one.run("mount", "data", str(mountpoint), "--daemon")
    (tmp_path / "same").write_bytes(b"y" * 5000)
    assert digest(mountpoint / "file") == digest(tmp_path / "same")
    command("umount", str(mountpoint))
    assert mount_at(mountpoint) is None


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_program_with_an_event_loop_sees_the_command_return(one: Agent, new_loop: object) -> None:
    async def mount() -> tuple[int | None, bytes]:
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "meshcache.agent.cli", "mount", "data"),
            *(str(one.folder / "mnt"), "--daemon", "--socket", str(one.socket)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
        )
        async with asyncio.timeout(LIMIT):
            _, errors = await started.communicate()
        return started.returncode, errors

    with asyncio.Runner(loop_factory=new_loop) as runner:  # type: ignore[arg-type]
        assert runner.run(mount()) == (0, b"")
    assert mount_at(one.folder / "mnt") is not None
