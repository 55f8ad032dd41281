"""Leaf members: served by full ones, known to nobody else.

A leaf (a sidecar, a short-lived pod) keeps a lease at two full members, of its own zone (the tag
``zone``) if there are any. They give it the table, the map and every rumour; it observes nobody,
passes nothing on, and is in no table: that a thousand leaves come and go costs the mesh nothing.
What it says itself (events, writes) its hosts spread; but a guest's, a leaf without the mesh key,
they do not take (`core.guests`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.links import UNNEEDED, Link, Links
from meshcache.gossip.core.table import Table

HOSTS = 2
LEASE = 5.0
"""Seconds without a word after which a leaf is gone; a leaf beats each second."""
MOST = 512
"""Leaves that one full member serves; the next are sent on."""
SILENT = 2.5
"""A host that is silent for so long (it beats each second) is no longer relied upon: another is
taken beside it, and it is dropped when the lease ends."""
SHUNNED = 10.0
"""A host that could not be reached is not chosen again for so long."""


@dataclass(slots=True)
class Lease:
    """A leaf that is served here."""

    record: wire.Record
    until: float
    guest: bool
    """Whether it came without the mesh key."""


@dataclass
class Host:
    """The full member's side."""

    context: Context
    links: Links
    leases: dict[bytes, Lease] = field(default_factory=dict)

    def full(self, uid: bytes) -> bool:
        """Whether no further leaf is taken."""
        return uid not in self.leases and len(self.leases) >= MOST

    def serve(self, record: wire.Record, *, guest: bool) -> None:
        """A leaf said hello."""
        now, known = self.context.now, self.leases.get(record.uid)
        if known is None or record.incarnation > known.record.incarnation:
            self.leases[record.uid] = Lease(record, now + LEASE, guest)
        self.context.timers.set_earlier(("leases",), now + 1.0)

    def heard(self, uid: bytes) -> None:
        """A frame came from a peer."""
        lease = self.leases.get(uid)
        if lease is not None:
            lease.until = self.context.now + LEASE

    def lost(self, uid: bytes) -> None:
        """A link was closed: if it was a leaf's last, the leaf is gone, or will say hello again."""
        if uid in self.leases and self.links.of(uid) is None:
            del self.leases[uid]

    def tend(self) -> None:
        """Beat to the leaves, and forget those that are silent."""
        now = self.context.now
        for uid, lease in list(self.leases.items()):
            link = self.links.of(uid)
            if link is None or lease.until < now:
                del self.leases[uid]
                if link is not None:
                    self.links.close(link, UNNEEDED)
                    self.links.lost(link.number)
            else:
                self.links.send(link, wire.Beat())
        if self.leases:
            self.context.timers.set(("leases",), now + 1.0)


@dataclass
class Guest:
    """The leaf's side."""

    context: Context
    links: Links
    table: Table
    record: Callable[[], wire.Record]
    hosts: dict[bytes, float] = field(default_factory=dict)
    """Uid -> when it was last heard, or chosen."""
    _shunned: dict[bytes, float] = field(default_factory=dict)
    """Uid -> until when it is not chosen."""

    def heard(self, uid: bytes) -> None:
        """A frame came from a host."""
        if uid in self.hosts:
            self.hosts[uid] = self.context.now

    def tend(self) -> None:
        """Beat to the hosts; replace one that is silent, failed or left."""
        context, now = self.context, self.context.now
        context.timers.set(("guest",), now + 1.0)
        for uid, heard in list(self.hosts.items()):
            if not self.table.alive(uid) or heard + LEASE < now:
                del self.hosts[uid]
                for link in list(self.links.by_peer.get(uid, ())):
                    self.links.close(link, UNNEEDED)
        good = sum(heard + SILENT > now for heard in self.hosts.values())
        if good < HOSTS and len(self.hosts) < 2 * HOSTS:
            self._choose(HOSTS - good)
        self.links.want(self.hosts)
        for uid in self.hosts:
            found = self.links.of(uid)
            if found is not None:
                self.links.send(found, wire.Beat())
            else:
                self.links.urge(uid)

    def _choose(self, count: int) -> None:
        now = self.context.now
        self._shunned = {uid: until for uid, until in self._shunned.items() if until > now}
        living = sorted(self.table.living - self.hosts.keys() - self._shunned.keys())
        wanted = len(self.hosts) + count
        zone = self.record().tags.get("zone")
        near = [uid for uid in living if self.table.rows[uid].record.tags.get("zone") == zone]
        for group in ([uid for uid in near if uid in self.links.by_peer], near, living):
            chosen = [uid for uid in group if uid not in self.hosts]
            self.context.rng.shuffle(chosen)
            for uid in chosen[: wanted - len(self.hosts)]:
                self.hosts[uid] = now

    def lost(self, link: Link) -> None:
        """A host's link was closed: the host is tried again, or another is."""
        if link.peer in self.hosts:
            self.context.timers.set_earlier(("guest",), self.context.now + 0.1)

    def unreachable(self, uid: bytes) -> None:
        """A member could not be dialled: if it is a host, another is chosen at once."""
        if self.hosts.pop(uid, None) is not None:
            self._shunned[uid] = self.context.now + SHUNNED
            self.context.timers.set_earlier(("guest",), self.context.now)

    def reintroduce(self, hello: Callable[[Link], None]) -> None:
        """My record changed: the hosts are all that keep it."""
        for uid in self.hosts:
            link = self.links.of(uid)
            if link is not None:
                hello(link)
