"""What an open shows when the origin has changed: each policy's promise (docs/semantics.md)."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from meshcache.agent.client import AgentClient
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse


def make(agent: Agent, origin: Origin, **policy: Any) -> None:
    options = {"endpoint": origin.cap.url, "addressing": "path"}
    references = {"access_key": f"file:{origin.access}", "secret_key": f"file:{origin.secret}"}
    record: dict[str, Any] = {
        "name": "data",
        "mounts": [{"url": f"s3://{origin.bucket}", "path": "/"}],
        "options": options,
        "secret_options": references,
    }

    async def create() -> None:
        async with AgentClient(socket=agent.socket) as client:
            await client.create_dataset(record | policy)

    asyncio.run(create())


def read(path: Path) -> str:
    done = subprocess.run(
        ["timeout", "30", "cat", str(path)], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else done.stderr.rpartition(": ")[2].strip()


def test_check_on_open_shows_what_the_origin_has_when_the_file_is_opened(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"one")
    origin.put("empty", b"")
    origin.put("same", b"same")
    (agent,) = mesh.start("one")
    make(agent, origin, policy="check-on-open")
    mount = mesh.mount(agent, "data")
    (first,) = (version["id"] for version in agent.json("dataset", "versions", "data"))
    pinned = mesh.mount(agent, f"data@{first}")
    assert [read(mount / name) for name in ("file", "empty", "same")] == ["one", "", "same"]
    assert read(pinned / "file") == "one"
    origin.put("file", b"three")
    origin.put("empty", b"no more")
    wait_until(lambda: read(mount / "file") == "three", within=3)
    assert read(mount / "empty") == "no more"
    assert agent.run("cat", "data", "file").stdout == "three"
    # Which the pinned mount does not show: its file is not to be had any more.
    wait_until(lambda: read(pinned / "file") == "Stale file handle", within=3)
    assert read(mount / "same") == "same"
    origin.seaweed.delete(origin.bucket, "file")
    wait_until(lambda: read(mount / "file") == "No such file or directory", within=3)


def test_check_on_open_asks_of_a_file_at_most_once_a_second(mesh: Mesh, origin: Origin) -> None:
    origin.put("file", b"one")
    (agent,) = mesh.start("one")
    make(agent, origin, policy="check-on-open")
    mount = mesh.mount(agent, "data")
    assert read(mount / "file") == "one"
    before = origin.cap.cap.counts.other_requests
    script = f"for i in $(seq 200); do read -r x < {mount}/file; done; date +%s.%N"
    start = float(subprocess.check_output(["date", "+%s.%N"]))
    end = float(subprocess.check_output(["timeout", "60", "sh", "-c", script]))
    assert origin.cap.cap.counts.other_requests - before <= end - start + 1


def test_immutable_asks_the_origin_nothing_when_files_are_opened(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"one")
    (agent,) = mesh.start("one")
    make(agent, origin)
    mount = mesh.mount(agent, "data")
    assert read(mount / "file") == "one"
    origin.put("file", b"two")
    origin.cap.cap.reset()
    assert read(mount / "file") == "one"
    counts = origin.cap.cap.counts
    assert (counts.object_requests, counts.other_requests) == (0, 0)


def test_under_ttl_an_open_has_an_old_listing_made_anew_and_nothing_else_does(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"one")
    (agent,) = mesh.start("one")
    make(agent, origin, policy="ttl", ttl=0.5)
    mount = mesh.mount(agent, "data")
    assert read(mount / "file") == "one"
    listed = agent.json("dataset", "show", "data")["listed"]
    origin.put("file", b"two")
    wait_until(lambda: read(mount / "file") == "two", within=10)
    assert agent.json("dataset", "show", "data")["listed"] > listed
    other = mesh.mount(agent, "data")
    wait_until(lambda: read(other / "file") == "two")


def test_a_policy_that_is_changed_holds_for_the_mounts_there_are(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"one")
    (agent,) = mesh.start("one")
    make(agent, origin)
    mount = mesh.mount(agent, "data")
    assert read(mount / "file") == "one"

    async def change() -> None:
        async with AgentClient(socket=agent.socket) as client:
            record = await client.dataset("data")
            wished = ("name", "mounts", "options", "secret_options", "block_size", "replicas")
            spec = {key: record[key] for key in wished} | {"policy": "check-on-open"}
            await client.apply([spec])

    asyncio.run(change())
    origin.put("file", b"two")
    wait_until(lambda: read(mount / "file") == "two", within=5)
