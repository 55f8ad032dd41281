"""SIGTERM ends an agent within five seconds, whatever holds it up."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import workers
from meshcache.fuse.mountinfo import mount_at
from meshcache.units import MIB
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh, environment
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse


def begin(agent: Agent, *arguments: str) -> subprocess.Popen[bytes]:
    """A command of an agent's, not waited for; it ends with the agent."""
    child = subprocess.Popen(
        [sys.executable, "-m", "meshcache.agent.cli", *arguments, "--socket", str(agent.socket)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    agent.children.append(child)
    return child


def waits_for_fuse(pid: int) -> bool:
    """Whether a thread of the process waits for an answer of a FUSE server."""
    return any(
        "fuse" in (task / "wchan").read_text() or "request_wait" in (task / "wchan").read_text()
        for task in Path(f"/proc/{pid}/task").iterdir()
    )


def test_a_file_system_that_hangs_below_an_origin_does_not_hold_the_end_up(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"x" * 1000)
    one, two = mesh.start("one", "two")
    origin.create(one)
    mountpoint = mesh.mount(one, "data")
    worker = workers.serving(one.children[0].pid)
    os.kill(worker, signal.SIGSTOP)
    begin(two, "dataset", "create", "hung", f"file://{mountpoint}")
    wait_until(lambda: waits_for_fuse(two.pid), within=20)
    assert two.stop(within=5.0) == 0
    assert not two.socket.exists()
    os.kill(worker, signal.SIGCONT)


def test_a_mount_whose_worker_hangs_holds_neither_its_agent_nor_its_keeper_up(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"x" * 1000)
    (one,) = mesh.start("one")
    origin.create(one)
    mountpoint = mesh.mount(one, "data")
    worker = workers.serving(one.children[0].pid)
    os.kill(worker, signal.SIGSTOP)  # who touches the mount from now on waits
    begin(one, "dataset", "refresh", "data").wait(30)
    assert one.json("status")["mounts"][0]["mountpoint"] == str(mountpoint)
    assert one.stop(within=5.0) == 0
    assert one.children[0].wait(5) == 0
    assert mount_at(mountpoint) is None


def test_a_load_and_reads_under_way_do_not_hold_the_end_up(mesh: Mesh, origin: Origin) -> None:
    origin.put("file", bytes(64 * MIB))
    one, two = mesh.start("one", "two")
    origin.create(one)
    mountpoint = mesh.mount(one, "data")
    held = origin.cap.hold()
    load = begin(one, "load", "data", "--wait")
    cat = begin(one, "cat", "data", "file")
    reader = subprocess.Popen(
        ["timeout", "60", "cat", str(mountpoint / "file")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    one.children.append(reader)
    wait_until(lambda: one.json("status")["mounts"], within=10)
    wait_until(lambda: origin.cap.cap.held > 0, within=20)
    os.kill(two.pid, signal.SIGSTOP)
    assert one.stop(within=5.0) == 0
    os.kill(two.pid, signal.SIGCONT)
    origin.cap.release(held)
    for child in (load, cat):
        child.wait(20)
