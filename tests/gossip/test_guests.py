"""Guests: leaves that hold no mesh key. They read, and can do nothing else."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from meshcache.gossip import Gossip, GossipConfig, InvalidSettings, UserEvent, keys
from tests.support.wait import eventually

KEY = b"the mesh key of these tests, long"
GUEST = b"what a guest has in its place, so"


class Mesh:
    """Members and guests, closed at the end."""

    def __init__(self) -> None:
        self.running: list[Gossip] = []

    async def member(self, name: str, **more: Any) -> Gossip:
        seeds = [self.running[0].address] if self.running else []
        one = Gossip(GossipConfig(**{"name": name, "key": KEY, "seeds": seeds, **more}))
        await one.start()
        self.running.append(one)
        return one

    async def guest(self, name: str, key: bytes = GUEST, **more: Any) -> Gossip:
        public = keys.public_of(KEY)
        return await self.member(name, key=key, mesh_public=public, role="leaf", **more)


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    made = Mesh()
    yield made
    for one in made.running:
        await one.close()


async def test_an_admitted_guest_is_served_and_sees_members_and_map(mesh: Mesh) -> None:
    host = await mesh.member("host")
    await host.admit({GUEST: "models"})
    host.map.put("datasets", "models", b"record")
    guest = await mesh.guest("guest")
    await eventually(lambda: guest.map.get("datasets", "models") is not None)
    assert "host" in {member.name for member in guest.members()}
    assert [leaf.name for leaf in host.leaves()] == ["guest"]
    host.map.put("datasets", "models", b"changed")
    await eventually(lambda: _value(guest, "models") == b"changed")


def _value(gossip: Gossip, key: str) -> bytes | None:
    entry = gossip.map.get("datasets", key)
    return entry.value if entry is not None else None


async def test_what_a_guest_writes_or_says_is_counted_and_goes_nowhere(mesh: Mesh) -> None:
    host = await mesh.member("host")
    await host.admit({GUEST: "models"})
    host.map.put("datasets", "models", b"record")
    heard: list[object] = []
    host.subscribe(lambda event: heard.append(event) if isinstance(event, UserEvent) else None)
    guest = await mesh.guest("guest")
    await eventually(lambda: _value(guest, "models") is not None)
    guest.map.put("datasets", "models", b"hostile")
    guest.event("hostile")
    await eventually(lambda: host.stats().get("guest_refused", 0) >= 1)
    host.map.put("datasets", "other", b"record")  # comes after whatever the guest said
    await eventually(lambda: _value(guest, "other") is not None)
    assert _value(host, "models") == b"record"
    assert heard == []


async def test_a_key_that_was_not_admitted_is_a_strangers(mesh: Mesh) -> None:
    host = await mesh.member("host")
    await host.admit({b"the key of some other dataset, so": "other"})
    await mesh.guest("stranger")
    await eventually(lambda: host.stats()["strangers_refused"] >= 1)
    assert host.leaves() == []


async def test_a_guest_is_sent_away_when_it_is_no_longer_admitted(mesh: Mesh) -> None:
    host = await mesh.member("host")
    await host.admit({GUEST: "models"})
    await mesh.guest("guest")
    await eventually(lambda: [leaf.name for leaf in host.leaves()] == ["guest"])
    await host.admit({})
    await eventually(lambda: host.leaves() == [])


async def test_keys_are_changed_over_the_heads_of_guests(mesh: Mesh) -> None:
    host, other = await mesh.member("host"), await mesh.member("other")
    for one in (host, other):
        await one.admit({GUEST: "models"})
    guest = await mesh.guest("guest")
    await eventually(lambda: bool(host.leaves() or other.leaves()))
    await eventually(lambda: {member.name for member in host.members()} >= {"host", "other"})
    new = b"the key that comes after it, long"
    step = await host.rotation.install(new)
    assert step.failed == {}
    assert step.done == ["host", "other"]
    assert guest.keys.secrets == [GUEST]


async def test_a_guest_is_a_leaf_and_stays_one(mesh: Mesh) -> None:
    public = keys.public_of(KEY)
    with pytest.raises(InvalidSettings, match="leaf"):
        Gossip(GossipConfig(name="full", key=GUEST, mesh_public=public))
    await mesh.member("host")
    guest = await mesh.guest("guest")
    with pytest.raises(InvalidSettings, match="leaf"):
        await guest.change_role("full")
