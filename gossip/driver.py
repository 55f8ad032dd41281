"""The asyncio driver: a node of the core, the transport and the clock, in the caller's loop.

All runs in callbacks of one loop and nothing here awaits between an input and its outputs, so the
node needs no lock. On each wake the sockets are emptied before any timer runs: a process that
stood still must first hear what others said meanwhile.
"""

import asyncio
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Collection

from meshcache.gossip import addresses, wire
from meshcache.gossip.config import ROLES, GossipConfig
from meshcache.gossip.core.events import Close, Event, KeyRefused, Open, Resolve, Send, Why
from meshcache.gossip.core.node import Node
from meshcache.gossip.keyring import KeyRing
from meshcache.gossip.lag import Lag
from meshcache.gossip.tasks import Tasks
from meshcache.gossip.transport import Transport

log = logging.getLogger("meshcache.gossip")

LEAVE_TIMEOUT = 1.0
"""How long a leaving member waits for its neighbours to have heard of it."""
LOOKUP_TIMEOUT = 5.0
ROUNDING = 0.0005
"""Seconds by which uvloop may wake too early: it counts whole milliseconds."""


class Driver:
    """One process of the mesh, from its start to its end."""

    def __init__(
        self, config: GossipConfig, keys: KeyRing, tell: Callable[[Event], None], lag: Lag
    ) -> None:
        """`tell` is called on the loop for each event."""
        self._config = config
        self._keys = keys
        self._tell = tell
        self._lag = lag
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._pumping = False
        self._ended = False
        self.counts: Counter[str] = Counter()
        self.tasks = Tasks(self.log_error)
        self.node: Node
        self.port = 0

    async def start(self, port: int, role: str, tags: dict[str, str]) -> None:
        """Listen, and begin to look for the mesh.

        Raises:
            AddressUnusable: the bind address is taken or not of this machine.
        """
        self._loop = asyncio.get_running_loop()
        self._transport = Transport(
            self._keys,
            on_frames=self._on_frames,
            on_closed=self._on_closed,
            on_busy=self._on_busy,
            on_refused=self._on_refused,
            on_guest=lambda number, name: self.node.restrict(number, name),
            on_error=self.log_error,
        )
        host = self._config.bind[0]
        self.port = await self._transport.start(host, port)
        wall_ms = int(time.time() * 1000)
        record = wire.Record(
            os.urandom(16),
            self._config.name,
            self._advertised(host),
            wall_ms,
            0,
            ROLES[role],
            dict(tags),
        )
        self.node = Node(
            record,
            mesh=self._config.mesh,
            rng=random.SystemRandom(),
            now=self.now,
            wall_ms=wall_ms,
            settings=self._config.timings(),
            seeds=bool(self._config.seeds),
        )
        self.node.links.guests.shown = self._keys.shown_to
        self._wake()

    def _advertised(self, host: str) -> str:
        if self._config.advertise is not None:
            host, port = self._config.advertise
            return addresses.join(host, port or self.port)
        if host in addresses.WILDCARDS:
            seed = next(iter(self._config.seeds), "192.0.2.1:1")
            host = addresses.own_address(addresses.split(seed)[0])
        return addresses.join(host, self.port)

    @property
    def now(self) -> float:
        """The clock that the node is given: the loop's, but uvloop's own shows milliseconds only,
        and stands still during a callback. Round trips are shorter."""
        return time.monotonic()

    async def leave(self) -> None:
        """Tell the mesh that this member goes; until the neighbours have heard it, or a second."""
        self.node.leave(self.now)
        self.pump()
        deadline = self.now + LEAVE_TIMEOUT
        while not self.node.left_heard and self.now < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Stop at once, as a crash would. The node can still be looked at."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        await self.tasks.close()
        await self._transport.close()

    async def keys_changed(self, *, rebind: bool, removed: Collection[str]) -> None:
        """Have the links follow the key ring."""
        await self._transport.keys_changed(rebind=rebind, removed=removed)
        self.pump_soon()

    def stats(self) -> dict[str, int]:
        """What node and transport counted since the start."""
        counts = Counter(self._transport.stats())
        counts.update(self.node.context.counts)
        counts.update(self.counts)
        return dict(counts)

    # --- inputs

    def _on_frames(self, frames: list[tuple[int, bytes]]) -> None:
        now = self.now
        for number, frame in frames:
            self.node.receive(number, frame, now)
        self.pump()

    def _on_closed(self, number: int, why: Why) -> None:
        self.node.link_closed(number, why, self.now)
        self.pump_soon()

    def _on_busy(self, number: int, is_busy: bool) -> None:
        self.node.link_busy(number, is_busy, self.now)
        self.pump_soon()

    def _on_refused(self, address: str) -> None:
        self.counts["keys_refused"] += 1
        self._tell(KeyRefused(address))

    def _wake(self) -> None:
        if self._ended:
            return
        if self._timer is not None:
            self._lag.saw(self.now - self._due)
        self._transport.drain()
        self.node.tick(self.now)
        self.pump()

    # --- outputs

    def pump_soon(self) -> None:
        """`pump` in the loop's next round."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self.pump)

    def pump(self) -> None:
        """Carry out what the node wishes, and be woken at its deadline."""
        self._pumping = False
        if self._ended:
            return
        outputs, events = self.node.take()
        for output in outputs:
            match output:
                case Send(link=number, frame=frame):
                    self._transport.send(number, frame)
                case Open(link=number, address=address):
                    self._transport.open(number, address)
                case Close(link=number):
                    self._transport.close_link(number)
                case Resolve():
                    self.tasks.start(self._resolve(), "gossip resolve seeds")
        if outputs:
            self._transport.drain_soon()
        for event in events:
            self._tell(event)
        if not self._ended:
            if self._timer is not None:
                self._timer.cancel()
            self._due = self.node.deadline
            self._timer = self._loop.call_at(self._due + ROUNDING, self._wake)

    async def _resolve(self) -> None:
        found: list[str] = []
        for seed in self._config.seeds:
            host, port = addresses.split(seed)
            try:
                async with asyncio.timeout(LOOKUP_TIMEOUT):
                    infos = await self._loop.getaddrinfo(host, port, type=1)
            except (OSError, TimeoutError):
                continue  # asked again soon, and for ever
            found.extend(addresses.join(str(info[4][0]), port) for info in infos)
        self.node.found(found, self.now)
        self.pump()

    @staticmethod
    def log_error(error: BaseException) -> None:
        """One of the background tasks failed."""
        log.error("a gossip task failed", exc_info=error)
