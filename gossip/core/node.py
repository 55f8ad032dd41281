"""One member of the mesh: the parts put together, and the table of what each frame is for.

Inputs: `receive`, `link_closed`, `found`, `tick`, and the user's `set_tags`, `write`, `leave`.
Each takes the time, does what is due, and leaves outputs and events that `take` gives out. The
node owns no clock: it is to be woken at `deadline`. Woken much later, it knows that it stood still
itself (inputs that waited meanwhile are to be given before `tick`).
"""

from collections.abc import Iterable, Sequence

import msgspec

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context, Dice
from meshcache.gossip.core.dispatch import MESSAGES, TIMERS
from meshcache.gossip.core.endings import Endings
from meshcache.gossip.core.events import Event, Output, Standing, Why
from meshcache.gossip.core.greeting import Greeting
from meshcache.gossip.core.happenings import Happenings
from meshcache.gossip.core.inbox import Inbox
from meshcache.gossip.core.joining import Joining
from meshcache.gossip.core.leaves import Guest, Host
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.membership import Membership
from meshcache.gossip.core.replica import Replica
from meshcache.gossip.core.settings import LAN, Settings
from meshcache.gossip.core.spread import Spread
from meshcache.gossip.core.statemap import Any as AnyVersion
from meshcache.gossip.core.statemap import StateMap, Version
from meshcache.gossip.core.sync import Sync
from meshcache.gossip.core.table import LEAF
from meshcache.gossip.errors import TagsTooLarge


class Node:
    """The protocol of one process."""

    def __init__(
        self,
        record: wire.Record,
        *,
        mesh: str,
        rng: Dice,
        now: float,
        wall_ms: int,
        settings: Settings = LAN,
        seeds: bool = False,
        speaks: tuple[int, int] = wire.SPEAKS,
        features: int = wire.FEATURES,
    ) -> None:
        """Make the node of the process that `record` describes (its incarnation is 0).

        `seeds` says whether a `Resolve` will ever find something. `speaks` (oldest and newest
        version) and `features` are those of this program unless a test plays another one.
        """
        record = msgspec.structs.replace(record, speaks=speaks, features=features)
        self.context = Context(
            uid=record.uid,
            mesh=wire.mesh_id(mesh),
            settings=settings,
            rng=rng,
            now=now,
            wall_ms=wall_ms,
        )
        self.links = Links(
            self.context,
            self._address_of,
            lambda link: self.greeting.hello(link, reply=False),
            lambda uid, address: self.members.detection.replaced(uid, address),
        )
        self.spread = Spread(self.context, self.links, self._on_rumour, self._keeps)
        self.members = Membership(self.context, record, self.links, self.spread)
        self.map = StateMap(record.uid, settings)
        self.replica = Replica(self.context, self.map, self.spread)
        self.sync = Sync(
            self.context,
            self.links,
            self.members.table,
            self.map,
            self.spread,
            self.members.roster.take_row,
            self.replica.take,
            lambda: self.members.rings.any(rng),
        )
        self.happenings = Happenings(self.context, self.links, self.spread)
        self.host = Host(self.context, self.links)
        self.guest = Guest(self.context, self.links, self.members.table, lambda: self.members.me)
        self.is_leaf = record.role == LEAF
        self.spread.relay = not self.is_leaf
        self.joining = Joining(
            self.context, self.links, self.members.table, self.members.roster.lost, seeds
        )
        self.greeting = Greeting(
            self.context, self.links, self.members, self.joining, self.host, self.sync
        )
        self.endings = Endings(
            self.context,
            self.links,
            self.spread,
            self.members.detection,
            self.host,
            self.guest,
            self.is_leaf,
        )
        self._inbox = Inbox(
            self.context, self.links, self.greeting, self.joining, self.spread, self._deliver
        )
        self._stalled_at = -1.0
        timers = self.context.timers
        timers.set(("join",), now)
        if self.is_leaf:
            timers.set(("guest",), now + 1.0)
        else:
            timers.set(("beat",), now + settings.period * rng.random())
            timers.set(("sync-far",), now + settings.sync_far * rng.random())
            timers.set(("heal",), now + settings.heal)
        timers.set(("sync",), now + settings.sync * rng.random())
        timers.set(("reap",), now + 60.0)
        timers.set(("tend",), now + settings.redial)

    # --- the driver's side

    @property
    def uid(self) -> bytes:
        """Who this is: 16 random bytes per process."""
        return self.context.uid

    @property
    def deadline(self) -> float:
        """When `tick` must be called next."""
        return self.context.timers.deadline

    def take(self) -> tuple[list[Output], list[Event]]:
        """What is to be done and told since the last time."""
        self.spread.flush()
        context = self.context
        outputs, context.outputs = context.outputs, []
        events, context.events = context.events, []
        return outputs, events

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._wake(now)
        for name in self.context.timers.pop(now):
            TIMERS[name[0]](self, *name[1:])

    def _wake(self, now: float) -> None:
        context = self.context
        due = context.timers.deadline
        if now > context.now:
            context.now = now
        late = now - due
        if late > context.settings.stall and due != self._stalled_at:
            self._stalled_at = due  # once, however many inputs come before the tick
            context.counts["stalls"] += 1
            self.members.detection.stalled(late)

    def receive(self, number: int, frame: bytes, now: float) -> None:
        """A frame came over the link of this number; nothing in it can raise."""
        self._wake(now)
        self._inbox.receive(number, frame)

    def _deliver(self, link: Link, message: wire.Message) -> None:
        assert link.peer is not None
        self.members.detection.heard(link.peer)
        self.host.heard(link.peer)
        self.guest.heard(link.peer)
        MESSAGES[type(message)](self, link, message)

    def restrict(self, number: int, name: str) -> None:
        """Over this link comes a guest of this name: a leaf that reads what the name is shown
        (`links.guests`), and writes nothing."""
        self.links.guests.add(number, name)

    def link_closed(self, number: int, why: Why, now: float) -> None:
        """A link ended, or one that was to be opened did not."""
        self._wake(now)
        self.endings.closed(number, why)

    def link_busy(self, number: int, is_busy: bool, now: float) -> None:
        """The transport cannot take more for this link, or it can again."""
        self._wake(now)
        self.spread.busy(number, is_busy)

    def found(self, addresses: Sequence[str], now: float) -> None:
        """The answer to `Resolve`."""
        self._wake(now)
        self.joining.found(addresses)

    # --- the user's side

    def standing(self, uid: bytes) -> Standing:
        """How the mesh, as this node sees it, looks at a member that it knows."""
        link = self.links.of(uid)
        members = self.members
        observers = members.rings.observers(uid) if members.table.alive(uid) else ()
        accusers = members.detection.verdicts.accusers(uid)
        return Standing(
            observers=tuple(one.hex() for one in observers),
            accusers=tuple(one.hex() for one in accusers),
            round_trip=link.round_trip if link is not None else None,
        )

    def set_tags(self, tags: dict[str, str], now: float) -> None:
        """Change my tags.

        Raises:
            TagsTooLarge: over the limit in bytes, or more than 32.
        """
        self._wake(now)
        limit = self.context.settings.tags_bytes
        if wire.tags_size(tags) > limit or len(tags) > 32:
            raise TagsTooLarge(f"tags of {wire.tags_size(tags)} B are over {limit} B or 32 tags")
        self.members.roster.change_mine(tags=dict(tags))
        if self.is_leaf:
            self.guest.reintroduce(lambda link: self.greeting.hello(link, reply=False))

    def write(
        self,
        space: str,
        key: str,
        value: bytes | None,
        expect: Version | AnyVersion | None,
        now: float,
    ) -> Version:
        """Write (or with None delete) an entry of the map, and tell the mesh. Raises as
        `StateMap.write`."""
        self._wake(now)
        return self.replica.write(space, key, value, expect)

    def remember(self, entries: Iterable[wire.MapEntry], floor: int, now: float) -> None:
        """Take in the map that this member had before its restart; what is newer here stays."""
        self._wake(now)
        self.replica.remember(entries, floor)

    def inherit(self, former: "Node", now: float) -> None:
        """Know what this process's former node knew: the members and the map."""
        self.remember(former.map.all(), former.map.floor, now)
        for row in former.members.table.in_buckets(range(256)):
            self.members.roster.take_row(row)
        if self.is_leaf:
            self.context.timers.set_earlier(("guest",), now)

    def say(
        self,
        name: str,
        payload: bytes,
        now: float,
        *,
        query: bool = False,
        to: Sequence[bytes] = (),
        acks: bool = False,
    ) -> int:
        """Send an event, or a query whose answers carry the returned number."""
        self._wake(now)
        return self.happenings.say(name, payload, query=query, to=list(to), acks=acks)

    def answer(self, asker: bytes, number: int, payload: bytes, now: float) -> bool:
        """Answer a query that was asked; False if the way back is lost."""
        self._wake(now)
        return self.happenings.answer(asker, number, payload)

    def leave(self, now: float) -> None:
        """Say that this member goes. `left_heard` tells how many have answered since."""
        self._wake(now)
        self.members.roster.myself.leave(self.members.detection.probes.ask)

    @property
    def left_heard(self) -> bool:
        """Whether all neighbours have acknowledged the leave (true if there are none)."""
        return self.members.roster.myself.left_heard

    # --- messages

    def _address_of(self, uid: bytes) -> str | None:
        row = self.members.table.rows.get(uid)
        return row.record.address if row is not None else None

    def _keeps(self, uid: bytes) -> bool:
        kept = uid in self.links.wanted or uid in self.host.leases
        return kept or self.members.roster.newcomer

    def on_probe(self, link: Link, message: wire.Probe) -> None:
        """A neighbour wants to know whether I live."""
        self.links.send(link, wire.Probed(message.number))

    def on_probed(self, link: Link, message: wire.Probed) -> None:
        """The answer to a probe of mine."""
        if self.members.detection.probes.answered(link, message.number):
            self.members.roster.myself.answered(message.number)

    def _on_rumour(self, rumour: wire.Rumour, link: Link) -> bool:
        if isinstance(rumour, wire.Written):
            return self.replica.take(rumour.entry, flood=False)
        if isinstance(rumour, wire.Happened):
            return self.happenings.hear(rumour, link)
        return self.members.on_rumour(rumour)

    # --- timers

    def sync_round(self) -> None:
        """Compare with a neighbour, and measure how far it is."""
        link = self.sync.round()
        if link is not None:
            self.members.detection.probes.ask(link)

    def reap(self) -> None:
        """Forget what is old."""
        self.context.timers.set(("reap",), self.context.now + 60.0)
        self.members.reap()
        self.map.reap(self.context.wall_ms)
