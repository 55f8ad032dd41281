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
from meshcache.gossip.core.events import (
    Event,
    MapChanged,
    Output,
    Standing,
    Why,
)
from meshcache.gossip.core.greeting import Greeting
from meshcache.gossip.core.guests import admissible
from meshcache.gossip.core.happenings import Happenings
from meshcache.gossip.core.joining import Joining
from meshcache.gossip.core.leaves import Guest, Host
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.membership import Membership
from meshcache.gossip.core.settings import LAN, Settings
from meshcache.gossip.core.spread import Spread
from meshcache.gossip.core.statemap import Any as AnyVersion
from meshcache.gossip.core.statemap import StateMap, Version
from meshcache.gossip.core.sync import Sync
from meshcache.gossip.core.table import LEAF
from meshcache.gossip.errors import FrameInvalid, OtherVersion, TagsTooLarge


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
            lambda uid, address: self.members.replaced(uid, address),
        )
        self.spread = Spread(self.context, self.links, self._on_rumour, self._keeps)
        self.members = Membership(self.context, record, self.links, self.spread)
        self.map = StateMap(record.uid, settings)
        self.sync = Sync(
            self.context,
            self.links,
            self.members.table,
            self.map,
            self.spread,
            self.members.take_row,
            self._take_entry,
        )
        self.happenings = Happenings(self.context, self.links, self.spread)
        self.host = Host(self.context, self.links)
        self.guest = Guest(self.context, self.links, self.members.table, lambda: self.members.me)
        self.is_leaf = record.role == LEAF
        self.spread.relay = not self.is_leaf
        self.joining = Joining(
            self.context, self.links, self.members.table, self.members.lost, seeds
        )
        self.greeting = Greeting(
            self.context, self.links, self.members, self.joining, self.host, self.sync
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
            self.members.stalled(late)

    def receive(self, number: int, frame: bytes, now: float) -> None:
        """A frame came over the link of this number; nothing in it can raise."""
        self._wake(now)
        counts = self.context.counts
        counts["frames_received"] += 1
        counts["bytes_received"] += len(frame)
        link = self.links.by_number.get(number)
        if link is not None and not link.frames.take(self.context.now, 1 + len(frame) / 16384):
            counts["flooded"] += 1
            return
        try:
            message = wire.decode(frame, mesh=self.context.mesh, me=self.uid)
        except OtherVersion:
            self.greeting.other_version(link)
            return
        except FrameInvalid:
            counts["malformed"] += 1
            return
        if message is None:
            counts["unknown_kind"] += 1
            return
        if number in self.links.guests and (message := admissible(message)) is None:
            counts["guest_refused"] += 1
            return
        handle = MESSAGES.get(type(message))
        if handle is None:
            self._introduce(number, link, message)
        elif link is None or link.peer is None:
            counts["not_introduced"] += 1
        else:
            self.members.watch.heard(link.peer)
            self.host.heard(link.peer)
            self.guest.heard(link.peer)
            if link.peer in self.members.answers.waiting:
                self.members.answers.heard(link.peer)
            handle(self, link, message)

    def _introduce(self, number: int, link: Link | None, message: wire.Message) -> None:
        """The beginning and the end of a link."""
        if isinstance(message, wire.Hello):
            if link is None and len(self.links.by_number) >= self.context.settings.links:
                self.context.counts["links_refused"] += 1
            else:
                self.greeting.on_hello(link or self.links.accepted(number), message)
        elif isinstance(message, wire.Goaway) and link is not None:
            self.greeting.on_goaway(link, message)
            self.spread.link_lost(number)
        elif isinstance(message, wire.Redirect):
            if link is not None and link.dialled and link.peer is None:
                self.links.give_up(link)
                self.joining.redirected(message.addresses)
        else:
            self.context.counts["not_introduced"] += 1

    def restrict(self, number: int, name: str) -> None:
        """Over this link comes a guest of this name: a leaf that reads what the name is shown
        (`links.guests`), and writes nothing."""
        self.links.guests.add(number, name)

    def link_closed(self, number: int, why: Why, now: float) -> None:
        """A link ended, or one that was to be opened did not."""
        self._wake(now)
        self.links.guests.discard(number)
        link = self.links.lost(number)
        if link is None:
            return
        self.spread.link_lost(number)
        if self.is_leaf:
            self.guest.lost(link)
        elif link.peer is not None:
            self.host.lost(link.peer)
        who = link.peer or link.expects
        if link.peer is not None and link.peer not in self.links.by_peer:
            self.members.link_lost(link.peer)
        elif link.peer is None and who is not None:
            self.links.failed(who, why)
            if self.is_leaf:
                self.guest.unreachable(who)
            early = now < link.opened + self.context.settings.dial_timeout / 3
            if why is Why.CLOSED or (why is Why.UNREACHABLE and early):
                self.members.hung_up(who)
            else:
                self.members.dial_failed(who, why)

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
        accusers = members.verdicts.accusers(uid)
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
        self.members.change_mine(tags=dict(tags))
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
        entry = self.map.write(space, key, value, expect, self.context.wall_ms)
        self.context.emit(MapChanged(space, key))
        self.spread.publish(wire.Written(entry))
        return Version(entry.clock, entry.writer)

    def remember(self, entries: Iterable[wire.MapEntry], floor: int, now: float) -> None:
        """Take in the map that this member had before its restart; what is newer here stays."""
        self._wake(now)
        for entry in entries:
            self._take_entry(entry)
        self.map.floor = max(self.map.floor, floor)  # last: it bars what is unknown and older

    def inherit(self, former: "Node", now: float) -> None:
        """Know what this process's former node knew: the members and the map."""
        self.remember(former.map.all(), former.map.floor, now)
        for row in former.members.table.in_buckets(range(256)):
            self.members.take_row(row)
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
        self.members.myself.leave(self.members.probes.ask)

    @property
    def left_heard(self) -> bool:
        """Whether all neighbours have acknowledged the leave (true if there are none)."""
        return self.members.myself.left_heard

    # --- messages

    def _address_of(self, uid: bytes) -> str | None:
        row = self.members.table.rows.get(uid)
        return row.record.address if row is not None else None

    def _keeps(self, uid: bytes) -> bool:
        kept = uid in self.links.wanted or uid in self.host.leases
        return kept or self.members.newcomer

    def on_probe(self, link: Link, message: wire.Probe) -> None:
        """A neighbour wants to know whether I live."""
        self.links.send(link, wire.Probed(message.number))

    def on_probed(self, link: Link, message: wire.Probed) -> None:
        """The answer to a probe of mine."""
        if self.members.probes.answered(link, message.number):
            self.members.myself.answered(message.number)

    def _on_rumour(self, rumour: wire.Rumour, link: Link) -> bool:
        if isinstance(rumour, wire.Written):
            return self._take_entry(rumour.entry, flood=False)
        if isinstance(rumour, wire.Happened):
            return self.happenings.hear(rumour, link)
        return self.members.on_rumour(rumour)

    def _take_entry(self, entry: wire.MapEntry, *, flood: bool = True) -> bool:
        news = self.map.merge(entry, self.context.wall_ms)
        if news is None:
            return False
        self.context.emit(MapChanged(news.space, news.key))
        if flood or news is not entry:
            self.spread.publish(wire.Written(news))
        return news is entry

    # --- timers

    def dialled_out(self, number: int) -> None:
        """A dial has taken too long."""
        link = self.links.by_number.get(number)
        if link is not None and link.peer is None:
            self.links.give_up(link)
            if link.expects is not None:
                self.links.failed(link.expects, Why.UNREACHABLE)
                if self.is_leaf:
                    self.guest.unreachable(link.expects)
                self.members.dial_failed(link.expects, Why.UNREACHABLE)

    def sync_round(self) -> None:
        """Compare with a neighbour, and measure how far it is."""
        link = self.sync.round()
        if link is not None:
            self.members.probes.ask(link)

    def sync_far(self) -> None:
        """Compare with any member, when a link to it is open."""
        context = self.context
        context.timers.set(("sync-far",), context.now + context.jitter(context.settings.sync_far))
        other = self.members.rings.any(context.rng)
        if other != self.uid:
            link = self.links.of(other) or self.links.urge(other)
            if link is not None:
                context.timers.set(("sync-with", link.number), context.now + 1.0)

    def sync_with(self, number: int) -> None:
        """Compare over this link, if it is (still) open."""
        link = self.links.by_number.get(number)
        if link is not None and link.peer is not None:
            self.sync.begin(link)

    def reap(self) -> None:
        """Forget what is old."""
        self.context.timers.set(("reap",), self.context.now + 60.0)
        self.members.reap()
        self.map.reap(self.context.wall_ms)
