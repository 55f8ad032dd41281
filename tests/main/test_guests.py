"""Guests: leaves where there is a cache member, a mesh of their own where there is none."""

import hashlib
from pathlib import Path
from typing import Any

from tests.support.agents import Agent, Mesh
from tests.support.wait import wait_until


def roles(agent: Agent) -> dict[str, tuple[str, str, bool]]:
    """Name -> (state, role, leaf) of those that the agent lists."""
    rows: list[dict[str, Any]] = agent.ask("/v1/members")
    return {row["name"]: (row["state"], row["role"], row["leaf"]) for row in rows}


ALIVE_CACHE = ("alive", "cache", False)
LEAF = ("alive", "guest", True)
FULL_GUEST = ("alive", "guest", False)


def dataset(folder: Path, agent: Agent) -> str:
    """A dataset of one file of two blocks, text so that `cat` can be compared."""
    folder.mkdir()
    data = hashlib.shake_128(b"guests").hexdigest(5 << 19)
    (folder / "model.txt").write_text(data)
    agent.run("dataset", "create", "data", f"file://{folder}")
    return data


def read(agent: Agent, data: str) -> None:
    assert agent.run("cat", "data", "model.txt").stdout == data


def test_a_guest_is_a_leaf_that_its_hosts_list_and_reads_through_the_owners(
    mesh: Mesh, tmp_path: Path
) -> None:
    agents = mesh.start("n1", "n2", "n3")
    data = dataset(tmp_path / "origin", agents[0])
    guest = mesh.agent("pod", "--role", "guest").start(join=agents[0].gossip)
    caches = {"n1": ALIVE_CACHE, "n2": ALIVE_CACHE, "n3": ALIVE_CACHE}
    wait_until(lambda: sum("pod" in roles(agent) for agent in agents) == 2)
    wait_until(lambda: roles(guest) == caches | {"pod": LEAF})
    assert sum(agent.metric("meshcache_gossip_leaves") for agent in agents) == 2
    assert {agent.metric("meshcache_members", state="alive") for agent in agents} == {3}
    read(guest, data)
    assert guest.metric("meshcache_read_bytes", source="peer") >= len(data)
    assert guest.metric("meshcache_read_bytes", source="origin") == 0
    assert guest.stop() == 0
    wait_until(lambda: [roles(agent) for agent in agents] == [caches] * 3, within=5)


def test_guests_alone_are_a_mesh_and_own_among_themselves_until_a_cache_member_comes(
    mesh: Mesh, tmp_path: Path
) -> None:
    pods = [mesh.agent(name, "--role", "guest") for name in ("pod1", "pod2")]
    pods[0].start()
    pods[1].start(join=pods[0].gossip)
    guests = {"pod1": FULL_GUEST, "pod2": FULL_GUEST}
    wait_until(lambda: [roles(pod) for pod in pods] == [guests] * 2)
    data = dataset(tmp_path / "origin", pods[0])
    for pod in pods:
        read(pod, data)
    # Each block was read from the origin once, by its owner; a snapshot is small.
    from_origin = sum(pod.metric("meshcache_read_bytes", source="origin") for pod in pods)
    assert from_origin < len(data) + 10_000
    n1 = mesh.agent("n1").start(join=pods[0].gossip)
    there = {"n1": ALIVE_CACHE, "pod1": LEAF, "pod2": LEAF}
    wait_until(lambda: roles(n1) == there, within=20)
    assert {name for name, state in n1.states().items() if state == "alive"} == set(there)
    gone = ("left", "guest", False)  # as a full member; where its leaf is, its hosts know
    assert roles(pods[1]) == {"n1": ALIVE_CACHE, "pod1": gone, "pod2": LEAF}
    read(pods[1], data)
    n1.kill()
    wait_until(lambda: guests.items() <= roles(pods[0]).items(), within=20)
    wait_until(lambda: guests.items() <= roles(pods[1]).items(), within=20)
    for pod in pods:
        read(pod, data)
