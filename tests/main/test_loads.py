"""Loads: no coordinator, so whoever dies, what is loaded is loaded; and once."""

import json
import random
from functools import partial

import pytest

from meshcache.units import MIB
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh
from tests.support.wait import wait_until


def fill(origin: Origin, rng: random.Random, count: int, size: int, folder: str = "d") -> int:
    """Files of the origin; all their bytes."""
    for number in range(count):
        origin.put(f"{folder}/{number:03}", rng.randbytes(size))
    return count * size


def phase(agent: Agent, name: str) -> str:
    return str(agent.json("loads", name)["phase"])


def known(agents: list[Agent]) -> None:
    for agent in agents:
        wait_until(partial(_lists, agent))


def _lists(agent: Agent) -> bool:
    return "data" in agent.run("dataset", "list").stdout


@pytest.fixture
def three(mesh: Mesh, origin: Origin) -> list[Agent]:
    return mesh.start("one", "two", "three")


def test_a_load_spreads_over_the_owners_and_asks_the_origin_once(
    three: list[Agent], origin: Origin, rng: random.Random
) -> None:
    size = fill(origin, rng, 20, MIB)
    one, two, _ = three
    origin.create(one)
    known(three)
    origin.cap.cap.reset()
    assert one.run("load", "data", "--check", check=False).returncode == 1
    said = one.run("load", "data", "--wait", "--name", "all").stdout
    assert said.startswith("loaded 20.00MiB in ")
    assert origin.cap.cap.counts.object_bytes == size
    assert (
        one.run("load", "data", "--check").stdout
        == "100% is loaded: 20.00MiB of 20.00MiB, 20 files\n"
    )
    shown = two.json("loads", "all")
    assert shown["bytes_done"] == shown["bytes"] == shown["fetched"] == size
    assert shown["percentage"] == 100.0
    members = shown["members"]
    assert [member["name"] for member in members] == ["one", "three", "two"]
    assert {member["phase"] for member in members} == {"Complete"}
    assert sum(member["fetched"] for member in members) == size
    assert all(member["fetched"] for member in members), "each owner fetches its share"
    assert len({json.dumps(agent.json("loads")) for agent in three}) == 1
    # Again: nothing is lacking.
    again = one.run("load", "data", "--wait").stdout
    assert "0B fetched" in again
    assert origin.cap.cap.counts.object_bytes == size
