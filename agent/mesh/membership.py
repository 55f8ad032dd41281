"""This agent's place in the mesh: what it says of itself, how it joins, and what part a guest has.

A guest is a leaf of gossip: served by two members, in nobody's table. But a mesh has to have
members that hold it together and own the blocks; where no `cache` member is to be seen, guests do
that themselves as full members, and go back to being leaves when one has come.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from meshcache import __version__
from meshcache.agent.address import HostPort
from meshcache.agent.config import AgentConfig
from meshcache.agent.mesh import tags_of
from meshcache.agent.trust import guestkey
from meshcache.agent.trust.auth import Keys
from meshcache.agent.trust.keyfile import KeyFile
from meshcache.errors import EnvironmentUnfit, InvalidInput
from meshcache.gossip import (
    AddressUnusable,
    DescriptorsTooFew,
    Event,
    Gossip,
    GossipConfig,
    GossipError,
    KeyRefused,
    State,
)
from meshcache.store import Store
from meshcache.tasks import TaskSet

log = structlog.get_logger()

JOIN_WITHIN = 3.0
"""Seconds that the ready line waits for the mesh that was to be joined."""

ALONE = 1.5
"""Seconds after which a leaf that sees no `cache` member becomes a full member. One that is there
has answered in a tenth of that."""

LOST = 5.0
"""The same for a leaf that was served before: its hosts may only be restarting. Nobody tells a leaf
that the last of them is dead."""

BACK = 3.0
"""Seconds that a `cache` member must be there before a guest becomes a leaf again."""

LOOK_AGAIN = 1.0
"""Seconds after which a leaf looks whether it is still served."""

SAY_AGAIN = 600.0
"""Seconds between two warnings that an address takes none of our keys."""


@dataclass
class GuestPart:
    """Which part a guest should have in gossip, by what it has seen for how long."""

    _wrong_since: float | None = None
    _role: str = ""
    _served: bool = False

    def wait(self, now: float, role: str, caches: bool) -> float | None:
        """Seconds until the role (``full`` or ``leaf``) should be changed; None: it is right.

        Args:
            now: a clock in seconds.
            role: the present one.
            caches: whether a `cache` member is there.
        """
        if caches == (role == "leaf"):
            self._wrong_since = None
            self._served = caches
            return None
        if self._wrong_since is None or role != self._role:
            self._wrong_since = now
        self._role = role
        patience = BACK if role == "full" else LOST if self._served else ALONE
        return max(0.0, self._wrong_since + patience - now)


class Membership:
    """The gossip of one agent."""

    def __init__(
        self,
        config: AgentConfig,
        mesh_keys: list[bytes],
        keys: Keys,
        key_file: KeyFile,
        store: Store,
        address: str,
    ) -> None:
        """Nothing is opened until `start`. `keys` follow when the mesh keys change.

        Raises:
            InvalidInput: a setting that gossip cannot use.
        """

        async def keep(changed: list[bytes]) -> None:
            keys.change(changed)
            await key_file.keep(changed)
            await self._admit()

        self._config = config
        self._guest = config.guest()
        self._admitted: Mapping[str, frozenset[tuple[str, str]]] = {}
        self._key_file = key_file
        self._tasks = TaskSet(
            on_error=lambda name, error: log.error("task failed", task=name, exc_info=error)
        )
        self._part = GuestPart()
        self._timer: asyncio.TimerHandle | None = None
        self._changing = False
        self._said: dict[str, float] = {}
        self.trouble = "no seed answers yet"
        """Why this member is alone, as long as it is."""
        advertise = HostPort.parse(address).host
        try:
            self.gossip = Gossip(
                GossipConfig(
                    name=config.name,
                    bind=(config.gossip.host, config.gossip.port),
                    advertise=(advertise, 0) if config.gossip.everywhere else None,
                    seeds=[str(seed) for seed in config.join],
                    key=mesh_keys[0],
                    other_keys=mesh_keys[1:],
                    keep_keys=keep,
                    mesh_public=self._guest.server if self._guest else b"",
                    role="leaf" if config.role == "guest" and config.join else "full",
                    profile=config.gossip_profile,
                    tags=tags_of(
                        store_id=store.store_id,
                        address=address,
                        role=config.role,
                        zone=config.zone,
                        capacity=store.quota,
                        created=store.created,
                        version=__version__,
                    ),
                )
            )
        except GossipError as error:
            raise InvalidInput(str(error)) from error

    async def start(self) -> None:
        """Listen, and begin to look for the mesh.

        Raises:
            EnvironmentUnfit: the address is taken, or descriptors are too few.
        """
        try:
            await self.gossip.start()
        except AddressUnusable as error:
            raise EnvironmentUnfit(
                f"{error}: give another address by --gossip HOST:PORT"
            ) from error
        except DescriptorsTooFew as error:
            raise EnvironmentUnfit(str(error)) from error
        self.gossip.subscribe(self._on_event)
        self._reconsider()

    async def close(self) -> None:
        """Stop at once."""
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.close()
        await self.gossip.close()

    async def joined(self) -> None:
        """Wait until another member is seen, but not for long: the mesh may be yet to come."""
        seen = asyncio.Event()
        unsubscribe = self.gossip.subscribe(lambda event: seen.set())
        try:
            async with asyncio.timeout(JOIN_WITHIN):
                while len(self.gossip.members()) < 2:
                    await seen.wait()
                    seen.clear()
        except TimeoutError:
            log.warning(f"{self.trouble}; still trying")
        finally:
            unsubscribe()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, KeyRefused):
            self._key_refused(event.address)
        else:
            self._reconsider()

    def _key_refused(self, address: str) -> None:
        self.trouble = f"{address} takes no mesh key of this member"
        now = asyncio.get_running_loop().time()
        if address not in self._said:
            self._said[address] = 0.0  # one handshake may just have been cut off
            return
        if now < self._said[address]:
            return
        self._said[address] = now + SAY_AGAIN
        log.warning(
            f"{address} takes no mesh key of this member: it belongs to another mesh, or the key "
            f"was changed while this member was away; put the mesh's key into "
            f"{self._key_file.path} and start this agent again",
            keys=self.gossip.keys.ids,
        )

    # --- guests of this member

    async def admit(self, shown: Mapping[str, frozenset[tuple[str, str]]]) -> None:
        """Let in the guests of these datasets, and of no others: dataset -> the entries of the map
        that they see, as (namespace, key)."""
        if shown != self._admitted:
            self._admitted = shown
            await self._admit()

    async def _admit(self) -> None:
        if self._guest is None:
            keys = self.gossip.keys.secrets
            await self.gossip.admit(
                {guestkey.secret_for(key, name): name for name in self._admitted for key in keys},
                self._admitted,
            )

    # --- a guest's part

    def _reconsider(self) -> None:
        if self._config.role != "guest" or self._guest or self._changing:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        wait = self._part.wait(loop.time(), self.gossip.role, self._caches())
        if wait is None and self.gossip.role == "leaf":
            wait = LOOK_AGAIN  # that a leaf has lost its hosts is no event
        if wait is None:
            return
        if wait > 0:
            self._timer = loop.call_later(wait, self._reconsider)
        else:
            self._changing = True
            self._tasks.start(self._change_part(), name="change a guest's part")

    def _caches(self) -> bool:
        return self.gossip.served and any(
            member.tags.get("role") == "cache" and member.state in (State.ALIVE, State.SUSPECT)
            for member in self.gossip.members()
        )

    async def _change_part(self) -> None:
        role = "full" if self.gossip.role == "leaf" else "leaf"
        log.info("a guest's part in gossip changes", to=role)
        try:
            await self.gossip.change_role(role)
        finally:
            self._changing = False
        self._reconsider()
