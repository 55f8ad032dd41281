"""Many nodes that want one block at one moment give it to one another."""

import hashlib
import random
import subprocess

import pytest

from meshcache.fanout import BRANCHES
from meshcache.units import MIB
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh
from tests.support.wait import wait_until

SIZE = 4 * MIB
NAMES = "abcdefgh"

Reading = subprocess.Popen[str]


@pytest.fixture
def eight(mesh: Mesh, origin: Origin, rng: random.Random) -> tuple[list[Agent], str]:
    """Eight agents with a dataset of one block; and its digest."""
    agents = mesh.start(*NAMES, flags=["--open-reads"])
    data = origin.put("model", rng.randbytes(SIZE))
    origin.create(agents[0])
    for agent in agents:
        wait_until(lambda agent=agent: agent.lists("data"))  # type: ignore[misc]
    return agents, hashlib.sha256(data).hexdigest()


def reading(agent: Agent) -> Reading:
    url = f"http://{agent.http}/v1/datasets/data/files/model"
    command = f"curl -sf --max-time 60 {url} | sha256sum"
    return subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True)


def digest(reader: Reading) -> str:
    return reader.communicate(timeout=60)[0].split()[0]


def sent_on(agents: list[Agent]) -> dict[str, float]:
    """Name -> how many askers it has sent to others."""
    counts = {agent.name: agent.metric("meshcache_sent_on") for agent in agents}
    return {name: count for name, count in counts.items() if count}


def test_nobody_gives_more_than_a_few_copies_and_the_origin_is_asked_once(
    eight: tuple[list[Agent], str], origin: Origin
) -> None:
    agents, right = eight
    gate = origin.cap.hold()
    readers = [reading(agent) for agent in agents]
    # The owner reads for itself, and gives to the first that ask it.
    wait_until(lambda: [*sent_on(agents).values()] == [len(agents) - 1 - BRANCHES], within=20)
    origin.cap.release(gate)
    assert {digest(reader) for reader in readers} == {right}
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
    eight: tuple[list[Agent], str], origin: Origin
) -> None:
    agents, right = eight
    gate = origin.cap.hold()
    readers = {agents[0].name: reading(agents[0])}
    wait_until(lambda: origin.cap.cap.in_flight == 1)
    readers |= {agent.name: reading(agent) for agent in agents[1:]}
    wait_until(lambda: [*sent_on(agents).values()] == [len(agents) - 1 - BRANCHES], within=20)
    # The first that asked gives to others; unless it is the owner: then it is one of those.
    victim = agents[1] if agents[0].name in sent_on(agents) else agents[0]
    victim.kill()
    origin.cap.release(gate)
    assert digest(readers.pop(victim.name)) != right
    assert {digest(reader) for reader in readers.values()} == {right}
    assert origin.cap.cap.counts.object_bytes == SIZE
