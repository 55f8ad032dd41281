"""Many nodes that want one block at one moment give it to one another."""

import hashlib
import http.client
import random
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from meshcache.fanout import BRANCHES
from meshcache.units import MIB
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh
from tests.support.wait import wait_until

SIZE = 4 * MIB
NAMES = "abcdefgh"


@pytest.fixture
def eight(mesh: Mesh, origin: Origin, rng: random.Random) -> tuple[list[Agent], str]:
    """Eight agents with a dataset of one block; and its digest."""
    agents = mesh.start(*NAMES, flags=["--open-reads"])
    data = origin.put("model", rng.randbytes(SIZE))
    origin.create(agents[0])
    for agent in agents:
        wait_until(lambda agent=agent: agent.lists("data"))  # type: ignore[misc]
    return agents, hashlib.sha256(data).hexdigest()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(len(NAMES)) as pool:
        yield pool


def digest(agent: Agent) -> str:
    """Of what the agent gives; nothing if it ends meanwhile."""
    try:
        url = f"http://{agent.http}/v1/datasets/data/files/model"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return hashlib.sha256(answer.read()).hexdigest()
    except (OSError, http.client.HTTPException):
        return ""


def sent_on(agents: list[Agent]) -> dict[str, float]:
    """Name -> how many askers it has sent to others."""
    counts = {agent.name: agent.metric("meshcache_sent_on") for agent in agents}
    return {name: count for name, count in counts.items() if count}


def test_nobody_gives_more_than_a_few_copies_and_the_origin_is_asked_once(
    eight: tuple[list[Agent], str], origin: Origin, pool: ThreadPoolExecutor
) -> None:
    agents, right = eight
    gate = origin.cap.hold()
    readers = [pool.submit(digest, agent) for agent in agents]
    # The owner reads for itself, and gives to the first that ask it.
    wait_until(lambda: [*sent_on(agents).values()] == [len(agents) - 1 - BRANCHES], within=20)
    origin.cap.release(gate)
    assert {reader.result() for reader in readers} == {right}
    # Listings are given, too: they are small.
    copies = {agent.name: agent.metric("meshcache_served_bytes") // SIZE for agent in agents}
    assert sum(copies.values()) == len(agents) - 1
    assert max(copies.values()) <= BRANCHES
    assert origin.cap.cap.counts.object_bytes == SIZE

    def reads() -> tuple[int, int]:
        said = agents[0].ask("/v1/datasets/data")["reads"]
        return said["read"], said["fetched"]

    wait_until(lambda: reads() == (len(agents) * SIZE, SIZE), within=20)


def test_who_was_sent_to_a_member_that_dies_has_the_block_all_the_same(
    eight: tuple[list[Agent], str], origin: Origin, pool: ThreadPoolExecutor
) -> None:
    agents, right = eight
    gate = origin.cap.hold()
    readers = {agents[0].name: pool.submit(digest, agents[0])}
    wait_until(lambda: origin.cap.cap.in_flight == 1)
    readers |= {agent.name: pool.submit(digest, agent) for agent in agents[1:]}
    wait_until(lambda: [*sent_on(agents).values()] == [len(agents) - 1 - BRANCHES], within=20)
    # The first that asked gives to others; unless it is the owner: then it is one of those.
    victim = agents[1] if agents[0].name in sent_on(agents) else agents[0]
    victim.kill()
    origin.cap.release(gate)
    assert readers.pop(victim.name).result() == ""
    assert {reader.result() for reader in readers.values()} == {right}
    assert origin.cap.cap.counts.object_bytes == SIZE
