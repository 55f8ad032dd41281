"""Keys: rotation without downtime, and what a removed key is worth."""

import asyncio
import resource
from collections.abc import AsyncIterator

import pytest

from meshcache.gossip import (
    DescriptorsTooFew,
    Gossip,
    GossipConfig,
    InvalidSettings,
    MemberFailed,
    MemberLeft,
    MemberSuspect,
    limits,
)
from tests.gossip.members import together
from tests.support.wait import eventually

OLD, NEW = b"the old key, long enough", b"the new key, long enough"


@pytest.fixture
async def three() -> AsyncIterator[list[Gossip]]:
    """Three members that know each other, with the old key."""
    members: list[Gossip] = []
    for name in "abc":
        seeds = [members[0].address] if members else []
        member = Gossip(GossipConfig(name=name, key=OLD, seeds=seeds))
        await member.start()
        members.append(member)
    await eventually(lambda: together(members))
    yield members
    for member in members:
        await member.close()


async def test_a_key_is_rotated_in_three_steps_and_nobody_is_missed(three: list[Gossip]) -> None:
    trouble: list[object] = []
    for member in three:
        member.subscribe(
            lambda event: (
                trouble.append(event)
                if isinstance(event, MemberFailed | MemberSuspect | MemberLeft)
                else None
            )
        )
    for member in three:
        new = await member.install_key(NEW)
    old = three[0].keys.ids[0]
    for number, member in enumerate(three):
        await member.use_key(new)
        # In the middle of it members of both kinds understand each other.
        member.map.put("s", f"during {number}", b"")
        await eventually(lambda: all(len(one.map.items("s")) > number for one in three))  # noqa: B023
    for member in three:
        await member.remove_key(old)
    await asyncio.sleep(3)  # as long as it takes to suspect somebody
    assert not trouble
    assert together(three)
    newcomer = Gossip(GossipConfig(name="d", key=NEW, seeds=[three[1].address]))
    stranger = Gossip(GossipConfig(name="e", key=OLD, seeds=[three[1].address]))
    try:
        await newcomer.start()
        await stranger.start()
        await eventually(lambda: together([*three, newcomer]))
        await eventually(lambda: three[1].stats()["strangers_refused"] >= 2)
        assert len(stranger.members()) == 1
    finally:
        await newcomer.close()
        await stranger.close()


async def test_the_key_in_use_cannot_be_removed_nor_an_unknown_one_used(
    three: list[Gossip],
) -> None:
    with pytest.raises(InvalidSettings, match="in use"):
        await three[0].remove_key(three[0].keys.ids[0])
    with pytest.raises(InvalidSettings, match="installed"):
        await three[0].use_key("0" * 16)


def test_too_few_descriptors_are_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (100, 100))
    with pytest.raises(DescriptorsTooFew, match="ulimit"):
        limits.check_descriptors()
