"""Whoever is asked to refresh, one member lists; whoever cannot, another does."""

import asyncio

import pytest

from meshcache.errors import (
    DatasetBusy,
    DatasetNotFound,
    OriginDenied,
    OriginFailed,
    OriginUnreachable,
)
from meshcache.tasks import TaskSet
from tests.catalog.fakes import DATASET, Mesh


def listings(mesh: Mesh) -> dict[str, int]:
    return {name: listing.begun for name, listing in mesh.listings.items() if listing.begun}


async def test_members_that_are_asked_at_once_share_one_listing() -> None:
    mesh = Mesh("a", "b", "c", "d")
    heads = await asyncio.gather(*(member.refresh("data") for member in mesh.members.values()))
    assert listings(mesh) == {"a": 1}
    assert {head.snapshot for head in heads} == {heads[0].snapshot}
    assert mesh.entries.head("data") == heads[0]


async def test_who_asks_while_it_is_listed_gets_a_listing_that_began_later() -> None:
    mesh = Mesh("a", "b", "c")
    tasks = TaskSet(lambda name, error: None)
    mesh.listings["a"].let.clear()
    first = tasks.start(mesh.members["b"].refresh("data"), name="first")
    while not mesh.listings["a"].begun:
        await asyncio.sleep(0)
    mesh.now.time += 5
    later = [tasks.start(mesh.members[name].refresh("data"), name=name) for name in "abc"]
    await asyncio.sleep(0)
    mesh.listings["a"].let.set()
    await first
    assert {(await each).listed for each in later} == {1005}
    assert listings(mesh) == {"a": 2}


async def test_the_next_by_rank_lists_when_the_first_is_dead_or_has_no_way_to_the_origin() -> None:
    mesh = Mesh("a", "b", "c", "d")
    mesh.dead = {"a"}
    assert (await mesh.members["d"].refresh("data")).lister == "b"
    mesh.dead = set()
    mesh.listings["a"].error = OriginDenied("no credentials here")
    mesh.listings["b"].error = OriginUnreachable("no way")
    assert (await mesh.members["d"].refresh("data")).lister == "d"


async def test_a_listing_that_fails_leaves_the_head_and_is_not_repeated_by_all() -> None:
    mesh = Mesh("a", "b", "c")
    good = await mesh.members["c"].refresh("data")
    mesh.listings["a"].error = OriginFailed("page 7: HTTP 500")
    with pytest.raises(OriginFailed, match="page 7"):
        await mesh.members["c"].refresh("data")
    assert mesh.entries.head("data") == good
    assert listings(mesh) == {"a": 2}


async def test_a_dataset_that_was_changed_while_it_was_listed_is_not_shown_so() -> None:
    mesh = Mesh("a")
    mesh.listings["a"].let.clear()
    tasks = TaskSet(lambda name, error: None)
    refresh = tasks.start(mesh.members["a"].refresh("data"), name="refresh")
    while not mesh.listings["a"].begun:
        await asyncio.sleep(0)
    mesh.entries.replace(DATASET, type(DATASET)(DATASET.name, DATASET.mounts, "u1", generation=2))
    mesh.listings["a"].let.set()
    with pytest.raises(DatasetBusy):
        await refresh
    assert mesh.entries.head("data") is None


async def test_what_is_no_dataset_is_not_listed() -> None:
    mesh = Mesh("a", "b")
    with pytest.raises(DatasetNotFound):
        await mesh.members["b"].refresh("other")
    assert listings(mesh) == {}


async def test_a_deleted_dataset_leaves_no_head_and_no_history() -> None:
    mesh = Mesh("a")
    await mesh.members["a"].refresh("data")
    assert len(mesh.entries.history("data").versions) == 1
    mesh.entries.remove("data")
    mesh.entries.add(type(DATASET)(DATASET.name, DATASET.mounts, "u2"))
    assert mesh.entries.head("data") is None
    assert mesh.entries.history("data").versions == ()
