"""When the origin is looked at again: never, by age, or at each open."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from meshcache.agent.catalog import Freshness
from meshcache.agent.origins import Origins
from meshcache.block import FileVersion
from meshcache.errors import ObjectChanged, OriginUnreachable
from meshcache.tasks import TaskSet
from tests.catalog.fakes import DATASET, FakeOrigin, Mesh

FILE = FileVersion("s3://bucket", "key", "tag", 5)


class World:
    def __init__(self, **policy: Any) -> None:
        self.mesh = Mesh("a")
        self.mesh.entries.replace(DATASET, msgspec.structs.replace(DATASET, **policy))
        self.origin = FakeOrigin()
        self.tasks = TaskSet(lambda name, error: None)
        self.freshness = Freshness(
            self.mesh.entries,
            self.mesh.members["a"],
            cast("Origins", self.origin),
            self.tasks,
            now=self.mesh.now,
        )

    async def touched(self) -> int:
        """How many listings there are after something was read."""
        self.freshness.touch("data")
        while len(self.tasks):
            await asyncio.sleep(0)
        return self.mesh.listings["a"].begun


async def test_check_on_open_asks_once_in_a_second() -> None:
    world = World(policy="check-on-open")
    await asyncio.gather(*(world.freshness.check("data", FILE) for _ in range(5)))
    world.mesh.now.time += 0.9
    await world.freshness.check("data", FILE)
    assert world.origin.asked == 1
    world.mesh.now.time += 0.2
    await world.freshness.check("data", FILE)
    assert world.origin.asked == 2


async def test_check_on_open_refuses_a_changed_file_each_time() -> None:
    world = World(policy="check-on-open")
    world.origin.error = ObjectChanged("it was replaced")
    for _ in range(2):
        with pytest.raises(ObjectChanged):
            await world.freshness.check("data", FILE)
    assert world.origin.asked == 2


async def test_an_origin_that_cannot_be_asked_is_no_changed_file() -> None:
    world = World(policy="check-on-open")
    world.origin.error = OriginUnreachable("it is down")
    await world.freshness.check("data", FILE)
    assert world.origin.asked == 1


@pytest.mark.parametrize("policy", [{"policy": "immutable"}, {"policy": "ttl", "ttl": 5.0}])
async def test_other_policies_ask_nothing_of_a_file(policy: dict[str, Any]) -> None:
    world = World(**policy)
    await world.freshness.check("data", FILE)
    await world.freshness.check("deleted", FILE)
    assert world.origin.asked == 0


async def test_under_ttl_what_is_read_is_listed_again_once_it_is_too_old() -> None:
    world = World(policy="ttl", ttl=5.0)
    assert await world.touched() == 1  # it was never listed
    world.mesh.now.time += 4.9
    assert await world.touched() == 1
    world.mesh.now.time += 0.2
    assert await world.touched() == 2
    assert await world.touched() == 2


async def test_under_ttl_an_origin_that_is_down_is_not_asked_at_each_read() -> None:
    world = World(policy="ttl", ttl=60.0)
    world.mesh.listings["a"].error = OriginUnreachable("it is down")
    for _ in range(5):
        assert await world.touched() == 1
    world.mesh.now.time += 11
    assert await world.touched() == 2


async def test_an_immutable_dataset_is_never_listed_by_being_read() -> None:
    world = World()
    assert await world.touched() == 0
