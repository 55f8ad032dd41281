"""Refreshing, and what has been shown: by whom, at whose asking, and for how long it can be had."""

import asyncio
import random
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from meshcache.agent.client import AgentClient
from meshcache.units import MIB
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh, digest
from tests.support.wait import eventually, wait_until

pytestmark = pytest.mark.fuse


def cat(path: Path) -> str:
    done = subprocess.run(
        ["timeout", "20", "cat", str(path)], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else f"error: {done.stderr}"


def versions(agent: Agent) -> list[str]:
    return [version["id"] for version in agent.json("dataset", "versions", "data")]


def known(agent: Agent) -> bool:
    return "data" in agent.run("dataset", "list").stdout


def test_members_that_are_asked_to_refresh_at_once_have_the_origin_listed_once_or_twice(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"1")
    agents = mesh.start("one", "two", "three")
    origin.create(agents[0])
    for agent in agents:
        wait_until(lambda agent=agent: known(agent))  # type: ignore[misc]
    origin.put("file", b"22")
    before = origin.cap.cap.counts.other_requests

    async def ask(agent: Agent) -> None:
        async with AgentClient(socket=agent.socket) as client:
            await client.refresh_dataset("data")

    async def status(agent: Agent) -> None:
        async with AgentClient(socket=agent.socket) as client:
            await client.status()

    async def ask_all() -> None:
        held = origin.cap.hold(everything=True)
        async with asyncio.TaskGroup() as asks:
            for agent in agents * 3:
                asks.create_task(ask(agent))
            await eventually(lambda: origin.cap.cap.held, within=30)
            # Whoever answers this has passed on what it was asked before, or, the second time, has
            # been asked what the others passed on.
            for _ in range(2):
                await asyncio.gather(*(status(agent) for agent in agents))
            origin.cap.release(held)

    asyncio.run(ask_all())
    # One that is under way may have missed what the last to ask wants to see.
    assert 1 <= origin.cap.cap.counts.other_requests - before <= 4
    for agent in agents:
        assert agent.run("cat", "data", "file").stdout == "22"
        assert len(versions(agent)) == 2


def test_a_new_head_is_seen_by_all_mounts_within_a_second_and_unchanged_bytes_stay(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    origin.put("changes", b"old")
    origin.put("goes/away", b"x")
    same = origin.put("same", rng.randbytes(16 * MIB))
    agents = mesh.start("one", "two", "three")
    origin.create(agents[0])
    for agent in agents:
        wait_until(lambda agent=agent: known(agent))  # type: ignore[misc]
    mounts = [mesh.mount(agent, "data") for agent in agents]
    for mount in mounts:
        assert cat(mount / "changes") == "old"
        digest(mount / "same")
        assert "No such file" in cat(mount / "comes")
    origin.put("changes", b"new")
    origin.put("comes", b"here")
    origin.seaweed.delete(origin.bucket, "goes/away")

    seen: list[float] = []

    def watch(mount: Path) -> None:
        script = (
            f'while [ "$(cat {mount}/changes)" != new ]; do sleep 0.01; done; '
            f"cat {mount}/comes; echo; ls {mount}"
        )
        done = subprocess.run(
            ["timeout", "30", "sh", "-c", script], capture_output=True, text=True, check=True
        )
        seen.append(time.monotonic())
        assert done.stdout.split() == ["here", "changes", "comes", "same"]

    with ThreadPoolExecutor(3) as threads:
        watching = [threads.submit(watch, mount) for mount in mounts]
        agents[2].run("dataset", "refresh", "data")
        done_at = time.monotonic()
        for each in watching:
            each.result(30)
    # The command returns after the head is published; what comes before it is quicker still.
    assert max(seen) - done_at < 1.0 + 1.0  # a second, and one for two busy cores
    origin.cap.cap.reset()
    reads = [requests_of(agent) for agent in agents]
    for mount in mounts:
        assert digest(mount / "same") == sha256(same).hexdigest()
    after = [requests_of(agent) for agent in agents]
    # Opened and closed, and its directory looked at: not one of the 16 MiB is read again.
    assert all(b - a <= 6 for a, b in zip(reads, after, strict=True)), (reads, after)
    assert origin.cap.cap.counts.object_bytes == 0


def requests_of(agent: Agent) -> int:
    """Requests that the kernel made to the worker of an agent's one mount: it reads each by one
    system call."""
    keeper = agent.children[0].pid
    (worker,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    counts = dict(line.split(": ") for line in Path(f"/proc/{worker}/io").read_text().splitlines())
    return int(counts["syscr"])


def test_a_version_is_mounted_listed_and_read_as_it_was_while_the_head_moves_on(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"first")
    origin.put("other", b"o")
    one, two = mesh.start("one", "two")
    origin.create(one)
    wait_until(lambda: known(two))
    (first,) = versions(one)
    pinned = mesh.mount(two, f"data@{first[:8]}")
    assert cat(pinned / "file") == "first"
    origin.put("file", b"second")
    origin.put("added", b"a")
    one.run("dataset", "refresh", "data")
    wait_until(lambda: two.run("cat", "data", "file").stdout == "second")
    second, old = versions(two)
    assert old == first
    rows = two.run("dataset", "versions", "data").stdout.splitlines()
    assert rows[1].split()[:2] == [second[:12], "*"]
    assert rows[2].startswith(first[:12])

    assert cat(pinned / "file") == "first"
    assert "No such file" in cat(pinned / "added")
    for agent in (one, two):
        assert agent.run("cat", f"data@{first[:6]}", "file").stdout == "first"
        assert "added" not in agent.run("ls", f"data@{first[:6]}").stdout
    (mounted,) = two.json("status")["mounts"]
    assert mounted["dataset"] == f"data@{first[:12]}"

    token = one.run("token", "--dataset", "data", "--ttl", "1h").stdout.strip()
    url = f"http://{one.http}/v1/datasets/data@{first[:6]}/files/file"
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.read() == b"first"

    refused = one.run("cat", "data@0123456", "file", check=False)
    assert refused.returncode == 1
    assert "no version 0123456" in refused.stderr


def test_an_old_versions_file_is_an_error_when_nobody_holds_it_and_never_the_new_bytes(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"first")
    (one,) = mesh.start("one")
    origin.create(one)
    (first,) = versions(one)
    origin.put("file", b"other")
    one.run("dataset", "refresh", "data")
    failed = one.run("cat", f"data@{first}", "file", check=False)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "Stale file handle" in cat(mesh.mount(one, f"data@{first}") / "file")


def test_a_dataset_is_refreshed_by_itself_whoever_dies(mesh: Mesh, origin: Origin) -> None:
    origin.put("file", b"0")
    agents = mesh.start("one", "two", "three")
    origin.create(agents[0])
    agents[0].run("dataset", "refresh", "data", "--every", "1s")
    assert agents[0].json("dataset", "show", "data")["refresh_every"] == 1.0
    for number in range(1, 4):
        origin.put("file", str(number).encode() * number)
        # The versions name who listed.
        wait_until(
            lambda number=number: (
                [  # type: ignore[misc]
                    agent.run("cat", "data", "file").stdout for agent in agents
                ]
                == [str(number) * number] * len(agents)
            ),
            within=20,
        )
        lister = agents[0].json("dataset", "versions", "data")[0]["lister"]
        if len(agents) > 1:
            victim = next(agent for agent in agents if agent.name == lister)
            victim.kill()
            agents.remove(victim)
