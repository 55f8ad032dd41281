"""What tests of real members share."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from meshcache.gossip import Gossip, GossipConfig
from tests.gossip.members import KEY, Start


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts members, and closes them at the end."""
    running: list[Gossip] = []

    async def begin(name: str, *seeds: Gossip, **settings: Any) -> Gossip:
        addresses = [seed.address for seed in seeds]
        gossip = Gossip(GossipConfig(**{"name": name, "key": KEY, "seeds": addresses, **settings}))
        await gossip.start()
        running.append(gossip)
        return gossip

    yield begin
    for gossip in running:
        await gossip.close()
