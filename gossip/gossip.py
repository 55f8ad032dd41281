"""One member of a mesh, as its users have it."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from meshcache.gossip import addresses, limits, wire
from meshcache.gossip.config import ROLES, GossipConfig
from meshcache.gossip.core import shown
from meshcache.gossip.core.events import (
    Event,
    KeysChanged,
    Member,
    QueryAsked,
    QueryReply,
    Standing,
    State,
    UserEvent,
)
from meshcache.gossip.core.node import Node
from meshcache.gossip.driver import Driver
from meshcache.gossip.errors import AddressUnusable, InvalidSettings, NotRunning, TagsTooLarge
from meshcache.gossip.keyring import KeyRing
from meshcache.gossip.lag import Lag
from meshcache.gossip.replicated import ReplicatedMap
from meshcache.gossip.rotation import QUERY, Rotation
from meshcache.gossip.talk import RESERVED, Answers, Talk, check_name
from meshcache.gossip.tasks import Tasks

log = logging.getLogger("meshcache.gossip")


class Gossip:
    """One member of a mesh."""

    def __init__(self, config: GossipConfig) -> None:
        """Check the settings; nothing is opened until `start`.

        Raises:
            InvalidSettings: a name, key, role, seed or profile that cannot be used.
            TagsTooLarge: tags over 512 B.
        """
        if not 0 < len(config.name) <= 128:
            raise InvalidSettings("a member's name has 1 to 128 characters")
        _check_role(config.role)
        if config.mesh_public and config.role != "leaf":
            raise InvalidSettings("a guest, who holds no mesh key, is a leaf")
        for seed in config.seeds:
            addresses.split(seed)
        limit = config.timings().tags_bytes
        if wire.tags_size(config.tags) > limit:
            raise TagsTooLarge(f"tags of {wire.tags_size(config.tags)} B are over {limit} B")
        self._config = config
        self._role = config.role
        self._tags = dict(config.tags)
        self._driver: Driver | None = None
        self._subscribers: list[Callable[[Event], None]] = []
        self._tasks = Tasks(Driver.log_error)
        self._talk = Talk(self._running)
        self.keys = KeyRing([config.key, *config.other_keys], mesh=config.mesh_public)
        self.told: Counter[str] = Counter()
        """How often each kind of event was told since the start, by its class's name."""
        self.lag = Lag()
        """How late the loop woke this member."""
        self.map = ReplicatedMap(self._running, self.subscribe)
        self.rotation = Rotation(
            self.keys,
            self._talk,
            members=self.members,
            leaves=lambda: self._served(guests=False),
            me=lambda: self.me,
            changed=self._keys_changed,
            tasks=self._tasks,
        )
        """The keys of the mesh, and their change."""

    # --- beginning and end

    async def start(self) -> None:
        """Listen, and begin to look for the mesh; returns when the address is bound.

        Raises:
            AddressUnusable: the bind address is taken or not of this machine.
            DescriptorsTooFew: the process may open too few files.
        """
        limits.check_descriptors()
        driver = Driver(self._config, self.keys, self._tell, self.lag)
        await driver.start(self._config.bind[1], self._role, self._tags)
        self._driver = driver

    async def leave(self) -> None:
        """Tell the mesh that this member goes, then close; takes at most about a second."""
        if self._driver is not None:
            await self._driver.leave()
            await self.close()

    async def close(self) -> None:
        """Stop at once, as a crash would; the others find out."""
        driver, self._driver = self._driver, None
        if driver is not None:
            await self._tasks.close()
            await driver.close()

    async def change_role(self, role: str) -> None:
        """Leave, and come back at the same address as another process with this role (``full`` or
        ``leaf``). What it knows, the keys, the tags and the subscribers stay.

        Raises:
            InvalidSettings: no such role.
            NotRunning: not started, or left.
            AddressUnusable: the address was taken meanwhile; this member has left.
        """
        _check_role(role)
        if self._config.mesh_public:
            raise InvalidSettings("a guest, who holds no mesh key, stays a leaf")
        old = self._running()
        if role == self._role:
            return
        self._role = role
        await old.leave()
        await old.close()
        new = Driver(self._config, self.keys, self._tell, self.lag)
        try:
            await new.start(old.port, role, self._tags)
        except AddressUnusable:
            self._driver = None
            raise
        if self._driver is not old:  # closed meanwhile
            await new.close()
            raise NotRunning("gossip was closed while it changed its role")
        new.counts.update(old.stats())
        self._driver = new
        new.node.inherit(old.node, new.now)
        new.pump()

    # --- the members

    def _running(self) -> Driver:
        if self._driver is None:
            raise NotRunning("gossip is not running: it was not started, or has left")
        return self._driver

    @property
    def _node(self) -> Node:
        return self._running().node

    @property
    def address(self) -> str:
        """Where others reach this member, ``host:port`` with the port that was bound."""
        return self._node.members.me.address

    @property
    def role(self) -> str:
        """``full`` or ``leaf``."""
        return self._role

    @property
    def served(self) -> bool:
        """Whether a leaf has a link to a host just now; a full member serves itself."""
        node = self._node
        return not node.is_leaf or any(map(node.links.of, node.guest.hosts))

    @property
    def me(self) -> Member:
        """This member."""
        return self._node.members.view(self._node.uid)

    def members(self) -> list[Member]:
        """All members that are known, this one included, sorted by name."""
        return self._node.members.all()

    def leaves(self) -> list[Member]:
        """The leaf members that this full one serves, guests among them, sorted by name."""
        return self._served(guests=True)

    def _served(self, *, guests: bool) -> list[Member]:
        leases = self._node.host.leases.values()
        return sorted(
            (shown.leaf(lease.record) for lease in leases if guests or not lease.guest),
            key=lambda member: (member.name, member.uid),
        )

    def standing(self, uid: str) -> Standing:
        """How a member or a leaf is looked at just now: by whom, who misses it, how far it is."""
        return self._node.standing(bytes.fromhex(uid))

    def set_tags(self, tags: dict[str, str]) -> None:
        """Change the tags of this member; all others learn them.

        Raises:
            TagsTooLarge: over 512 B or 32 tags; the old ones stay.
        """
        driver = self._running()
        driver.node.set_tags(tags, driver.now)
        self._tags = dict(tags)
        driver.pump()

    # --- keys of this member; those of the mesh are changed by `rotation`

    async def install_key(self, key: bytes) -> str:
        """Accept another mesh key beside the one in use; its id.

        Raises:
            InvalidSettings: fewer than 16 bytes, or too many keys.
        """
        return await self.rotation.install_here(key)

    async def use_key(self, identity: str) -> None:
        """Listen and connect with an installed key from now on.

        Raises:
            InvalidSettings: no key of this id is installed.
        """
        await self.rotation.use_here(identity)

    async def remove_key(self, identity: str) -> None:
        """Accept a key no longer, and end the links that were made with it.

        Raises:
            InvalidSettings: it is the one in use.
        """
        await self.rotation.remove_here(identity)

    async def admit(
        self,
        guests: Mapping[bytes, str],
        shown: Mapping[str, frozenset[tuple[str, str]]] | None = None,
    ) -> None:
        """Let in guests that show these keys (each at least 16 bytes), and no others. A guest is a
        leaf that reads and writes nothing. The links of those that are no longer let in end.

        Args:
            guests: key -> what the guest is called.
            shown: what it is called -> the (namespace, key) of the entries of the map that it
                sees, none of others; the key is empty for all of a namespace. None: all guests see
                all there are.
        """
        self.keys.admit(guests, shown)
        if self._driver is not None:
            await self._driver.keys_changed(rebind=False, removed=())

    async def _keys_changed(self, event: KeysChanged, rebind: bool, removed: set[str]) -> None:
        self._tell(event)
        if self._config.keep_keys is not None:
            await self._config.keep_keys(self.keys.secrets)
        if self._driver is not None:
            await self._driver.keys_changed(rebind=rebind, removed=removed)

    # --- events and queries

    def event(self, name: str, payload: bytes = b"") -> None:
        """Send an event to all members; each is told once (`UserEvent`), who is cut off never.

        Raises:
            EntryTooLarge: a name over 128 characters or a payload over 1024 bytes.
            InvalidSettings: a name of gossip's own (``_gossip_...``).
        """
        self._talk.event(name, payload)

    async def query(
        self,
        name: str,
        payload: bytes = b"",
        *,
        to: Sequence[str] = (),
        timeout: float = 5.0,
    ) -> Answers:
        """Ask all members, or those of the uids `to` (at most 64); what came within `timeout`
        seconds. It ends sooner when everybody who was asked has answered.

        Who is asked gets `QueryAsked` and may answer with `answer`.

        Raises:
            EntryTooLarge, InvalidSettings: as `event`.
        """
        check_name(name)
        asked = set(to) or {m.uid for m in self.members() if m.state is State.ALIVE}
        asked.discard(self.me.uid)
        return await self._talk.query(
            name,
            payload,
            enough=lambda answers: answers.replies.keys() >= asked,
            to=to,
            timeout=timeout,
        )

    def answer(self, query: QueryAsked, payload: bytes) -> bool:
        """Answer a query; False if the way back to who asked is lost.

        Raises:
            EntryTooLarge: a payload over 1024 bytes.
        """
        return self._talk.answer(query, payload)

    # --- being told

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have `callback` called on the loop for each event; the answer ends that."""
        self._subscribers.append(callback)

        def end() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return end

    def _tell(self, event: Event) -> None:
        match event:
            case QueryReply():
                self._talk.heard(event)
            case QueryAsked(name=name) if name == QUERY:
                self.rotation.asked(event)
            case QueryAsked(name=name) | UserEvent(name=name) if name.startswith(RESERVED):
                log.debug("unknown %s of gossip's own: a newer member's", name)
            case _:
                self._tell_users(event)

    def _tell_users(self, event: Event) -> None:
        self.told[type(event).__name__] += 1
        for subscriber in list(self._subscribers):
            try:
                subscriber(event)
            except Exception:
                log.exception("a subscriber failed on %s", type(event).__name__)

    def stats(self) -> dict[str, int]:
        """Counters since the start, and sizes, for metrics."""
        driver = self._running()
        node = driver.node
        return {
            **driver.stats(),
            "links": len(node.links.by_number),
            "leaves": len(node.host.leases),
            "members": len(node.members.table.living),
            "map_entries": node.map.count,
            "map_bytes": node.map.size,
            "map_refused": node.map.refused,
        }


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise InvalidSettings(f"no role {role!r}: choose full or leaf")
