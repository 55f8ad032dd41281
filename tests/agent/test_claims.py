"""Claims: of members that hear each other one has each."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from meshcache.agent.mesh.claims import CLAIMS, Claims
from meshcache.gossip import Gossip, State


class Mesh:
    """Members whose maps agree when `heard` is called: the later write of each key wins."""

    def __init__(self, count: int) -> None:
        self.clock = 0
        self.maps: list[dict[tuple[str, str], tuple[int, bytes | None]]] = [
            {} for _ in range(count)
        ]
        self.states = [State.ALIVE] * count
        self.claims = [
            Claims(cast("Gossip", Member(self, n)), sleep=self.heard) for n in range(count)
        ]

    async def heard(self, seconds: float = 0.0) -> None:
        await asyncio.sleep(0)  # all who claim at once have written
        entries = [item for held in self.maps for item in held.items()]
        agreed = dict(sorted(entries, key=lambda item: item[1][0]))
        for held in self.maps:
            held.update(agreed)


class Member:
    """As much of a `Gossip` as claims need."""

    def __init__(self, mesh: Mesh, number: int) -> None:
        self._mesh = mesh
        self._held = mesh.maps[number]
        self.me = SimpleNamespace(uid=uid(number))
        self.map = self

    def members(self) -> Sequence[Any]:
        return [SimpleNamespace(uid=uid(n), state=one) for n, one in enumerate(self._mesh.states)]

    def put(self, space: str, key: str, value: bytes) -> None:
        self._mesh.clock += 1
        self._held[space, key] = (self._mesh.clock, value)

    def delete(self, space: str, key: str) -> None:
        self._mesh.clock += 1
        self._held[space, key] = (self._mesh.clock, None)

    def get(self, space: str, key: str) -> Any:
        _, value = self._held.get((space, key), (0, None))
        return None if value is None else SimpleNamespace(value=value)


def uid(number: int) -> str:
    return f"{number:032x}"


async def test_of_those_that_claim_at_once_one_has_it() -> None:
    mesh = Mesh(5)
    held: list[int] = []

    async def claim(number: int) -> None:
        async with mesh.claims[number].hold("work") as mine:
            if mine:
                held.append(number)
                await mesh.heard()

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(claim(number))
    assert len(held) == 1


async def test_a_claim_that_somebody_has_is_refused_until_it_ends() -> None:
    mesh = Mesh(2)
    async with mesh.claims[0].hold("work") as first:
        assert first
        async with mesh.claims[1].hold("work") as second, mesh.claims[1].hold("other") as other:
            assert (second, other) == (False, True)
        await mesh.heard()
        async with mesh.claims[1].hold("work") as again:
            assert not again
    await mesh.heard()
    async with mesh.claims[1].hold("work") as later:
        assert later


async def test_the_claim_of_one_that_died_holds_nobody_up() -> None:
    mesh = Mesh(2)
    async with mesh.claims[0].hold("work"):
        mesh.states[0] = State.FAILED
        async with mesh.claims[1].hold("work") as mine:
            assert mine
            assert mesh.maps[1][CLAIMS, "work"][1] == bytes.fromhex(uid(1))
    # Nor does the end of the dead one's take the other's away.
    assert mesh.maps[1][CLAIMS, "work"][1] is None


async def test_one_that_is_alone_does_not_wait() -> None:
    mesh = Mesh(1)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    claims = Claims(cast("Gossip", Member(mesh, 0)), sleep=sleep)
    async with claims.hold("work") as mine:
        assert mine
    assert waits == []
