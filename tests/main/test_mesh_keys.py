"""The mesh key of running agents is changed while they are read from."""

import asyncio
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meshcache.agent.client import AgentClient
from meshcache.agent.trust import meshkey
from tests.support.agents import Agent, Mesh, command, environment
from tests.support.wait import wait_until

FILES = 1500
SIZE = 3000


def content(number: int) -> bytes:
    return random.Random(number).randbytes(SIZE)


class Reader:
    """Reads the files of a dataset from one agent, each once, until told to stop."""

    def __init__(self, agent: Agent, seed: int) -> None:
        self._agent = agent
        self._order = random.Random(seed).sample(range(FILES), FILES)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._read()))
        self.read = 0
        self.wrong: list[object] = []

    async def _read(self) -> None:
        async with AgentClient(socket=self._agent.socket) as client:
            for number in self._order:
                if self._stop.is_set():
                    return
                try:
                    parts = [part async for part in client.read("data", f"{number}.bin")]
                    if b"".join(parts) != content(number):
                        self.wrong.append(number)
                except Exception as error:
                    self.wrong.append(error)
                self.read += 1

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(30)


@contextmanager
def monitored(agent: Agent) -> Iterator[list[dict[str, Any]]]:
    """What `meshcache monitor` prints while the context lasts."""
    events: list[dict[str, Any]] = []
    monitor_it = [sys.executable, "-m", "meshcache.agent.cli", "monitor"]
    with subprocess.Popen(
        [*monitor_it, "--events", "member,keys", "-o", "json", "--socket", str(agent.socket)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as monitor:
        assert monitor.stdout is not None
        out = monitor.stdout
        reading = threading.Thread(target=lambda: events.extend(map(json.loads, out)))
        reading.start()
        try:
            wait_until(lambda: agent.metric("meshcache_watchers") == 1)
            yield events
        finally:
            monitor.terminate()
            reading.join(10)


def test_the_key_is_changed_under_load_without_a_failed_read_or_a_suspicion(
    mesh: Mesh, tmp_path: Path
) -> None:
    folder = tmp_path / "origin"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number}.bin").write_bytes(content(number))
    agents = mesh.start("n1", "n2", "n3", "n4")
    agents[0].run("dataset", "create", "data", f"file://{folder}")
    new = tmp_path / "new.key"
    meshkey.write(new, meshkey.generate())
    (old,) = agents[0].json("keys", "list")["keys"]
    readers = [Reader(agent, seed) for seed, agent in enumerate(agents[:3])]
    with monitored(agents[3]) as events, readers[0], readers[1], readers[2]:
        wait_until(lambda: all(reader.read > 20 for reader in readers))
        installed = agents[0].run("keys", "install", str(new)).stdout
        key = installed.split()[1]
        assert installed == f"[keys] {key} installed on 4/4\n"
        assert agents[1].run("keys", "use", key).stdout == f"[keys] {key} in use by 4/4\n"
        removed = agents[2].run("keys", "remove", old["id"]).stdout
        assert removed == f"[keys] {old['id']} removed from 4/4\n"
        before = [reader.read for reader in readers]
        wait_until(lambda: all(r.read > n + 20 for r, n in zip(readers, before, strict=True)))
    assert [reader.wrong for reader in readers] == [[], [], []]
    assert [event["ids"] for event in events if event["kind"] == "keys"] == [
        [old["id"], key],
        [key, old["id"]],
        [key],
    ]
    assert [event for event in events if event["event"] in ("suspect", "failed")] == []
    for agent in agents:
        assert agent.sees_alive(["n1", "n2", "n3", "n4"])
        assert agent.metric("meshcache_read_fallbacks", reason="PeerFailed") == 0
        assert agent.metric("meshcache_gossip_member_events", event="suspect") == 0
    assert mesh.key.read_text() == new.read_text()
    agents[3].stop()
    agents[3].start(join=agents[0].gossip)
    wait_until(lambda: agents[0].sees_alive(["n1", "n2", "n3", "n4"]))


def test_a_member_that_was_away_is_told_what_to_do(mesh: Mesh, tmp_path: Path) -> None:
    own_key = tmp_path / "own.key"
    own_key.write_text(mesh.key.read_text())
    n1, n2 = mesh.start("n1", "n2")
    away = Agent(tmp_path, "away", key=own_key, size="64MiB")
    mesh.agents.append(away)
    away.start(join=n1.gossip)
    wait_until(lambda: n1.sees_alive(["away", "n1", "n2"]))
    away.stop()
    new = tmp_path / "new.key"
    meshkey.write(new, meshkey.generate())
    old = n1.json("keys", "list")["keys"][0]["id"]
    key = n1.run("keys", "install", str(new)).stdout.split()[1]
    n2.run("keys", "use", key)
    n2.run("keys", "remove", old)
    away.start(join=n1.gossip)
    wait_until(lambda: f"{n1.gossip} takes no mesh key of this member" in away.log.read_text())
    assert f"put the mesh's key into {own_key}" in away.log.read_text()
    away.stop()
    own_key.write_text(new.read_text())
    away.start(join=n1.gossip)
    wait_until(lambda: n2.sees_alive(["away", "n1", "n2"]))


def test_a_key_comes_in_over_the_socket_alone(mesh: Mesh, tmp_path: Path) -> None:
    (n1,) = mesh.start("n1")
    new = tmp_path / "new.key"
    meshkey.write(new, meshkey.generate())
    remote = ("--agent", f"http://{n1.http}", "--mesh-key-file", str(mesh.key))
    refused = command("keys", "install", str(new), *remote, check=False)
    assert refused.returncode == 1
    assert "over the agent's socket alone: HTTP is not encrypted" in refused.stderr
    assert len(json.loads(command("keys", "list", "-o", "json", *remote).stdout)["keys"]) == 1
