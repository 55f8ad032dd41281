"""The asyncio driver: a node of the core, the transport, the clock, in the caller's loop.

All runs in callbacks of one loop and nothing here awaits between an input and its outputs, so the
node needs no lock. On each wake the sockets are emptied before any timer runs: a process that
stood still must first hear what others said meanwhile.
"""

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from meshcache.gossip import addresses, limits, saved, wire
from meshcache.gossip.config import ROLES, GossipConfig
from meshcache.gossip.core.events import (
    Close,
    Event,
    Member,
    Open,
    QueryAsked,
    QueryReply,
    Resolve,
    Send,
    State,
    Why,
)
from meshcache.gossip.core.node import Node
from meshcache.gossip.core.statemap import ANY, Entry, Version
from meshcache.gossip.core.statemap import Any as AnyVersion
from meshcache.gossip.errors import EntryTooLarge, InvalidSettings, NotRunning, TagsTooLarge
from meshcache.gossip.keyring import KeyRing
from meshcache.gossip.tasks import Tasks
from meshcache.gossip.zmqio import Transport

log = logging.getLogger("meshcache.gossip")

LEAVE_TIMEOUT = 1.0
"""How long a leaving member waits for its neighbours to have heard of it."""
LOOKUP_TIMEOUT = 5.0


@dataclass
class Answers:
    """What a query brought."""

    acknowledged: set[str] = field(default_factory=set)
    """Uids of the members whom the question reached."""
    replies: dict[str, bytes] = field(default_factory=dict)
    """Uid -> what it answered."""


class ReplicatedMap:
    """The replicated map of a `Gossip`: small entries that every member holds."""

    def __init__(self, gossip: "Gossip") -> None:
        """The map of this member."""
        self._gossip = gossip

    def put(
        self,
        namespace: str,
        key: str,
        value: bytes,
        *,
        expect: Version | AnyVersion | None = ANY,
    ) -> Version:
        """Write an entry here; the mesh learns it by itself.

        `expect`: the version that the writer has read, None if there must be none, ANY to
        overwrite. It is compared with what this member knows: of two members that write at the
        same time the later clock wins everywhere.

        Raises:
            MapConflict: the entry is not as expected.
            EntryTooLarge: namespace over 64, key over 256 or value over 4096 bytes.
            MapFull: no room for one more.
            NotRunning: not started, or left.
        """
        return self._gossip._write(namespace, key, value, expect)

    def delete(
        self, namespace: str, key: str, *, expect: Version | AnyVersion | None = ANY
    ) -> None:
        """Delete an entry; fine if there is none (unless a version is expected).

        Raises:
            MapConflict, NotRunning: as `put`.
        """
        if self.get(namespace, key) is not None or not isinstance(expect, AnyVersion):
            self._gossip._write(namespace, key, None, expect)

    def get(self, namespace: str, key: str) -> Entry | None:
        """The entry as this member knows it."""
        return self._gossip._running.map.get(namespace, key)

    def items(self, namespace: str) -> list[tuple[str, Entry]]:
        """All entries of a namespace, sorted by key."""
        return self._gossip._running.map.items(namespace)

    def dump(self) -> bytes:
        """The whole map, for `load` after this member's next start."""
        return saved.encode(self._gossip._running.map)

    def load(self, data: bytes) -> None:
        """Take in what `dump` gave; whatever is newer in the mesh wins.

        Raises:
            FrameInvalid: the bytes are no dump; nothing was taken in.
        """
        self._gossip._load(saved.decode(data))


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
        if config.role not in ROLES:
            raise InvalidSettings(f"no role {config.role!r}: choose full or leaf")
        for seed in config.seeds:
            addresses.split(seed)
        self._settings = config.timings()
        if wire.tags_size(config.tags) > self._settings.tags_bytes:
            raise TagsTooLarge(f"tags of {wire.tags_size(config.tags)} B are over 512 B")
        self._config = config
        self.keys = KeyRing(config.key)
        self._node: Node | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._subscribers: list[Callable[[Event], None]] = []
        self._tasks = Tasks(self._log_error)
        self._pumping = False
        self.map = ReplicatedMap(self)

    # --- beginning and end

    async def start(self) -> None:
        """Listen, and begin to look for the mesh; returns when the address is bound.

        Raises:
            AddressUnusable: the bind address is taken or not of this machine.
            DescriptorsTooFew: the process may open too few files.
        """
        limits.check_descriptors()
        self._loop = asyncio.get_running_loop()
        self._transport = Transport(
            self.keys.derived,
            on_frames=self._on_frames,
            on_closed=self._on_closed,
            on_busy=self._on_busy,
            on_error=self._log_error,
        )
        host, port = self._config.bind
        bound = await self._transport.start(host, port)
        now = self._loop.time()
        wall_ms = int(time.time() * 1000)
        record = wire.Record(
            os.urandom(16),
            self._config.name,
            self._advertised(host, bound),
            wall_ms,
            0,
            ROLES[self._config.role],
            dict(self._config.tags),
        )
        self._node = Node(
            record,
            mesh=self._config.mesh,
            rng=random.SystemRandom(),
            now=now,
            wall_ms=wall_ms,
            settings=self._settings,
            seeds=bool(self._config.seeds),
        )
        self._wake()

    def _advertised(self, host: str, bound: int) -> str:
        if self._config.advertise is not None:
            host, port = self._config.advertise
            return addresses.join(host, port or bound)
        if host in addresses.WILDCARDS:
            seed = next(iter(self._config.seeds), "192.0.2.1:1")
            host = addresses.own_address(addresses.split(seed)[0])
        return addresses.join(host, bound)

    async def leave(self) -> None:
        """Tell the mesh that this member goes, then close; takes at most about a second."""
        if self._node is None:
            return
        node = self._node
        node.leave(self._loop.time())
        self._pump()
        deadline = self._loop.time() + LEAVE_TIMEOUT
        while not node.left_heard and self._loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await self.close()

    async def close(self) -> None:
        """Stop at once, as a crash would; the others find out."""
        if self._node is None:
            return
        self._node = None
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.close()
        await self._transport.close()

    # --- what the user sees

    @property
    def _running(self) -> Node:
        if self._node is None:
            raise NotRunning("gossip is not running: it was not started, or has left")
        return self._node

    @property
    def address(self) -> str:
        """Where others reach this member, ``host:port`` with the port that was bound."""
        return self._running.members.me.address

    @property
    def me(self) -> Member:
        """This member."""
        return self._running.members.view(self._running.uid)

    def members(self) -> list[Member]:
        """All members that are known, this one included, sorted by name."""
        return self._running.members.all()

    def set_tags(self, tags: dict[str, str]) -> None:
        """Change the tags of this member; all others learn them.

        Raises:
            TagsTooLarge: over 512 B or 32 tags; the old ones stay.
        """
        self._running.set_tags(tags, self._loop.time())
        self._pump()

    async def install_key(self, key: bytes) -> str:
        """Accept another mesh key beside the one in use; its id.

        The first of three steps of a rotation, each done at every member before the next: install
        everywhere, `use_key` everywhere, `remove_key` everywhere. Between the steps members with
        the old and with the new key in use understand each other.

        Raises:
            InvalidSettings: fewer than 16 bytes.
        """
        identity = self.keys.install(key)
        await self._take_keys()
        return identity

    async def use_key(self, identity: str) -> None:
        """Listen and connect with an installed key from now on.

        Raises:
            InvalidSettings: no key of this id is installed.
        """
        self.keys.use(identity)
        await self._take_keys()

    async def remove_key(self, identity: str) -> None:
        """Accept a key no longer, and end the links that were made with it.

        Raises:
            InvalidSettings: it is the one in use, or is not installed.
        """
        self.keys.remove(identity)
        await self._take_keys()

    async def _take_keys(self) -> None:
        if self._node is not None:
            await self._transport.set_keys(self.keys.derived)
            self._pump_soon()

    def leaves(self) -> list[Member]:
        """The leaf members that this full one serves, sorted by name."""
        node = self._running
        return sorted(
            (node.members.view_of(lease.record) for lease in node.host.leases.values()),
            key=lambda member: (member.name, member.uid),
        )

    def event(self, name: str, payload: bytes = b"") -> None:
        """Send an event to all members; each is told once (`UserEvent`), who is cut off never.

        Raises:
            EntryTooLarge: a name over 128 characters or a payload over 1024 bytes.
        """
        self._say(name, payload)

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
            EntryTooLarge: as `event`.
        """
        node = self._running
        asked = set(to) or {m.uid for m in self.members() if m.state is State.ALIVE}
        asked.discard(self.me.uid)
        answers = Answers()
        done = asyncio.Event()
        number = 0

        def hear(event: Event) -> None:
            if isinstance(event, QueryReply) and event.number == number:
                answers.acknowledged.add(event.member)
                if event.payload is not None:
                    answers.replies[event.member] = event.payload
                if asked <= answers.replies.keys():
                    done.set()

        end = self.subscribe(hear)
        try:
            number = self._say(name, payload, query=True, to=[bytes.fromhex(uid) for uid in to])
            if asked and self._node is node:
                async with asyncio.timeout(timeout):
                    await done.wait()
        except TimeoutError:
            pass
        finally:
            end()
        return answers

    def answer(self, query: QueryAsked, payload: bytes) -> bool:
        """Answer a query; False if the way back to who asked is lost.

        Raises:
            EntryTooLarge: a payload over 1024 bytes.
        """
        if len(payload) > 1024:
            raise EntryTooLarge(f"an answer of {len(payload)} B is over 1024")
        asker = bytes.fromhex(query.origin)
        sent = self._running.answer(asker, query.number, payload, self._loop.time())
        self._pump_soon()
        return sent

    def _say(
        self, name: str, payload: bytes, *, query: bool = False, to: Sequence[bytes] = ()
    ) -> int:
        if not 0 < len(name) <= 128 or len(payload) > 1024 or len(to) > 64:
            raise EntryTooLarge("a name has 1 to 128 characters, a payload at most 1024 bytes")
        now = self._loop.time()
        number = self._running.say(name, payload, now, query=query, to=to, acks=query)
        self._pump()
        return number

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have `callback` called on the loop for each event; the answer ends that."""
        self._subscribers.append(callback)

        def end() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return end

    def stats(self) -> dict[str, int]:
        """Counters since the start, and sizes, for metrics."""
        node = self._running
        return {
            **node.context.counts,
            "links": len(node.links.by_number),
            "leaves": len(node.host.leases),
            "members": len(node.members.table.living),
            "map_entries": node.map.count,
            "map_bytes": node.map.size,
            "map_refused": node.map.refused,
            "strangers_refused": self._transport.refused,
            "frames_dropped": self._transport.dropped,
        }

    def _write(
        self, space: str, key: str, value: bytes | None, expect: Version | AnyVersion | None
    ) -> Version:
        version = self._running.write(space, key, value, expect, self._loop.time())
        self._pump()
        return version

    def _load(self, remembered: saved.Saved) -> None:
        self._running.remember(remembered.entries, remembered.floor, self._loop.time())
        self._pump()

    # --- the loop's side

    def _on_frames(self, frames: list[tuple[int, bytes]]) -> None:
        if self._node is None:
            return
        now = self._loop.time()
        for number, frame in frames:
            self._node.receive(number, frame, now)
        self._pump()

    def _on_closed(self, number: int, why: Why) -> None:
        if self._node is not None:
            self._node.link_closed(number, why, self._loop.time())
            self._pump_soon()

    def _on_busy(self, number: int, is_busy: bool) -> None:
        if self._node is not None:
            self._node.link_busy(number, is_busy, self._loop.time())
            self._pump_soon()

    def _wake(self) -> None:
        if self._node is None:
            return
        self._transport.drain()
        self._node.tick(self._loop.time())
        self._pump()

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Carry out what the node wishes, and be woken at its deadline."""
        self._pumping = False
        node = self._node
        if node is None:
            return
        outputs, events = node.take()
        for output in outputs:
            match output:
                case Send(link=number, frame=frame):
                    self._transport.send(number, frame)
                case Open(link=number, address=address):
                    self._transport.open(number, address)
                case Close(link=number):
                    self._transport.close_link(number)
                case Resolve():
                    self._tasks.start(self._resolve(), "gossip resolve seeds")
        if outputs:
            self._transport.drain_soon()
        for event in events:
            for subscriber in list(self._subscribers):
                try:
                    subscriber(event)
                except Exception:
                    log.exception("a subscriber failed on %s", type(event).__name__)
        if self._node is node:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(node.deadline, self._wake)

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
        if self._node is not None:
            self._node.found(found, self._loop.time())
            self._pump()

    def _log_error(self, error: BaseException) -> None:
        log.error("a gossip task failed", exc_info=error)
