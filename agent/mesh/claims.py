"""Claims: which of several members does what each of them would do.

A claim is an entry of the replicated map that names a member. Whoever claims writes one, and looks
again when gossip has had its time: of two that wrote at once, the later entry is everybody's. It
ends with its member, so one that died holds nobody up.

It is no lock: members that do not hear each other may hold the same claim. What is done under one
must do no harm when it is done twice.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from meshcache.gossip import Gossip, State

CLAIMS: Final = "claims"

SETTLE: Final = 1.0
"""Seconds after which every member has heard of a claim: many times what gossip takes."""

_LIVING: Final = (State.ALIVE, State.SUSPECT)


class Claims:
    """The claims of this member."""

    def __init__(
        self, gossip: Gossip, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._gossip = gossip
        self._map = gossip.map
        self._sleep = sleep

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[bool]:
        """Whether the claim to `key` (1 to 256 bytes) is this member's, until the block ends."""
        mine = await self._take(key)
        try:
            yield mine
        finally:
            if mine and self._holder(key) == self._gossip.me.uid:
                self._map.delete(CLAIMS, key)

    async def _take(self, key: str) -> bool:
        me = self._gossip.me.uid
        others = {
            member.uid
            for member in self._gossip.members()
            if member.state in _LIVING and member.uid != me
        }
        if self._holder(key) in others:
            return False
        self._map.put(CLAIMS, key, bytes.fromhex(me))
        if others:
            await self._sleep(SETTLE)
        return self._holder(key) == me

    def _holder(self, key: str) -> str | None:
        entry = self._map.get(CLAIMS, key)
        return None if entry is None else entry.value.hex()
