"""What is said of a dataset is the truth, on every member: beside a count of every block."""

import random
import urllib.request
from collections.abc import Iterable
from functools import partial
from typing import Any

from meshcache.units import KIB, MIB
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh
from tests.support.wait import wait_until

BLOCK = 256 * KIB


def create(origin: Origin, agent: Agent, name: str = "data", *flags: str) -> None:
    size = ("--block-size", "256KiB")
    agent.run("dataset", "create", name, f"s3://{origin.bucket}", *origin.flags(), *size, *flags)


def fill(origin: Origin, rng: random.Random, files: int, *, blocks: int = 4) -> dict[str, int]:
    """Files of up to so many blocks, no two alike; their sizes by name."""
    sizes = {}
    for number in range(files):
        name = f"f{number:02}"
        sizes[name] = rng.randrange(BLOCK // 2, blocks * BLOCK)
        origin.put(name, rng.randbytes(sizes[name]))
    return sizes


def read(agent: Agent, names: Iterable[str]) -> None:
    """Read files of the dataset on that node."""
    for name in names:
        url = f"http://{agent.http}/v1/datasets/data/files/{name}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            answer.read()


def shown(agent: Agent, name: str = "data", *, exact: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = agent.ask(f"/v1/datasets/{name}{'?exact=1' * exact}")
    return found


def truth_is_told(agents: list[Agent], name: str = "data") -> bool:
    """Whether all agents tell what a count of every block gives, to the byte."""
    counted = shown(agents[0], name, exact=True)
    assert counted["exact"] == {"asked": len(agents), "answered": len(agents)}
    return {shown(agent, name)["cached"] for agent in agents} == {counted["cached"]}


def locality(agent: Agent, *flags: str) -> dict[str, int]:
    """Node -> bytes."""
    found = agent.json("locality", "data", *flags)
    return {member["name"]: member["bytes"] for member in found["members"]}


def test_it_holds_with_evictions_and_for_what_several_members_hold(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    sizes = fill(origin, rng, 40)
    agents = mesh.start("one", "two", "three", size="6MiB", flags=["--open-reads"])
    create(origin, agents[0])
    for agent in agents:
        wait_until(partial(agent.lists, "data"))
    for agent, names in zip(agents, (list(sizes), list(sizes)[:20], list(sizes)[10:]), strict=True):
        read(agent, names)
    assert all(agent.metric("meshcache_store_evictions") > 0 for agent in agents)
    wait_until(partial(truth_is_told, agents), within=15)
    row = agents[1].json("dataset", "show", "data")
    assert 0 < row["cached"] < row["ufs_total"] == sum(sizes.values())
    assert abs(row["cached_percentage"] - 100 * row["cached"] / row["ufs_total"]) < 1e-9
    exact = locality(agents[2], "--exact")
    assert locality(agents[1]) == exact
    assert sum(exact.values()) > row["cached"], "nothing was held twice"


def test_a_dead_members_share_is_gone_until_it_is_back(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    sizes = fill(origin, rng, 20)
    one, two, three = agents = mesh.start("one", "two", "three")
    create(origin, one)
    one.run("load", "data", "--wait")
    total = sum(sizes.values())
    wait_until(lambda: shown(two)["cached"] == total, within=15)
    held = locality(two)
    assert sum(held.values()) == total
    assert held.keys() == {"one", "two", "three"}
    below = locality(one, "--path", "f00")
    assert sum(below.values()) == sizes["f00"]
    three.kill()
    wait_until(lambda: two.states()["three"] == "failed", within=10)
    wait_until(partial(truth_is_told, [one, two]), within=15)
    assert shown(two)["cached"] == total - held["three"]
    assert locality(one).keys() == {"one", "two"}
    three.start(join=one.gossip)
    for agent in agents:
        wait_until(lambda agent=agent: shown(agent)["cached"] == total, within=15)  # type: ignore[misc]
    assert locality(three) == held


def test_after_a_refresh_unchanged_files_count_and_another_dataset_counts_what_it_shares(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    sizes = fill(origin, rng, 20)
    one, two = agents = mesh.start("one", "two")
    create(origin, one)
    one.run("load", "data", "--wait")
    wait_until(lambda: shown(two)["cached"] == sum(sizes.values()), within=15)
    origin.put("f00", rng.randbytes(sizes["f00"]))
    origin.put("new", rng.randbytes(MIB))
    two.run("dataset", "refresh", "data")
    stale = sizes["f00"]
    wait_until(lambda: shown(one)["cached"] == sum(sizes.values()) - stale, within=15)
    wait_until(partial(truth_is_told, agents), within=15)
    assert shown(one)["ufs_total"] == sum(sizes.values()) + MIB

    create(origin, two, "other")
    wait_until(lambda: shown(two, "other")["cached"] == shown(two)["cached"], within=15)
    wait_until(partial(truth_is_told, agents, "other"), within=15)
    two.run("dataset", "delete", "data")
    wait_until(lambda: not one.lists("data"))
    assert truth_is_told(agents, "other")


def test_hits_and_bytes_saved_are_those_of_the_whole_mesh(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    sizes = fill(origin, rng, 8)
    total = sum(sizes.values())
    one, two = mesh.start("one", "two", flags=["--open-reads"])
    create(origin, one)
    wait_until(partial(two.lists, "data"))

    def reads() -> tuple[int, ...]:
        found = shown(two)["reads"]
        return tuple(found[key] for key in ("read", "local", "remote", "origin", "fetched"))

    def are(expected: tuple[int, ...]) -> bool:
        assert reads() == expected
        return True

    assert shown(two)["reads"]["hit_ratio"] is None
    read(one, sizes)
    wait_until(partial(are, (total, 0, 0, total, total)), within=20)
    read(two, sizes)

    def read_twice() -> bool:
        assert reads()[0] == 2 * total, reads()
        return True

    wait_until(read_twice, within=20)
    given, local, remote, asked, fetched = reads()
    assert (given, local + remote, asked, fetched) == (2 * total, total, total, total)
    assert min(local, remote) > 0
    found = shown(one)["reads"]
    assert (found["saved"], found["hit_ratio"]) == (total, 0.5)
    here = next(row for row in two.json("status")["held"] if row["name"] == "data")
    assert here["store"] + here["peer"] == total


def test_what_loads_copy_is_nobodys_read_and_what_is_read_after_evictions_is_counted_again(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    sizes = fill(origin, rng, 8)
    total = sum(sizes.values())
    one, two = mesh.start("one", "two", flags=["--open-reads"])
    create(origin, one)
    wait_until(partial(two.lists, "data"))
    one.run("load", "data", "--all", "--wait")

    def told(**expected: object) -> bool:
        for agent in (one, two):
            found = shown(agent)["reads"]
            assert {key: found[key] for key in expected} == expected
        return True

    wait_until(
        partial(told, fetched=total, loaded=total, read=0, saved=0, hit_ratio=None), within=20
    )
    read(one, sizes)
    read(two, sizes)
    twice = 2 * total
    wait_until(
        partial(told, fetched=total, loaded=total, read=twice, local=twice, saved=total), within=20
    )
    assert told(hit_ratio=1.0, local_ratio=1.0, remote_ratio=0.0, origin_ratio=0.0)

    # A store without room for the dataset evicts what it reads, and asks for it again.
    three = mesh.agent("three", "--open-reads", size="2MiB").start(join=one.gossip)
    wait_until(partial(three.lists, "data"))
    origin.cap.cap.reset()
    for _ in range(2):
        read(three, sizes)
    asked = origin.cap.cap.counts.object_bytes
    saved = 3 * total - asked
    wait_until(
        partial(told, fetched=total + asked, loaded=total, read=4 * total, saved=saved), within=20
    )
    assert three.metric("meshcache_store_evictions") > 0
