"""The first and the last frame of a link: who is there, what both speak, and why it ends.

Two members speak the highest version that both know (`Link.version`), and of the features only
those that both have (`Link.features`). If they have no version in common both say so to their
users, with both ranges.
"""

from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core import links as codes
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.events import Incompatible
from meshcache.gossip.core.joining import Joining
from meshcache.gossip.core.leaves import Host
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.membership import Membership
from meshcache.gossip.core.sync import Sync
from meshcache.gossip.core.table import LEAF

SETTLED = 0.2
"""Links change together; what may have been missed meanwhile is compared after this."""
TABLE_HERE = 0.05
"""From a leaf's first word with a member to its choice of hosts: the table has come by then."""
TOLD = 256
Versions = tuple[int, int]


def common_version(mine: Versions, theirs: Versions) -> int | None:
    """The highest version that both speak, None if there is none."""
    highest = min(mine[1], theirs[1])
    return highest if highest >= max(mine[0], theirs[0]) else None


@dataclass
class Greeting:
    """How one node begins and ends its links."""

    context: Context
    links: Links
    members: Membership
    joining: Joining
    host: Host
    sync: Sync
    _told: dict[str, Versions | None] = field(default_factory=dict)
    """Address -> what the user was told of it."""

    def hello(self, link: Link, *, reply: bool) -> None:
        """Say who I am."""
        me, size = self.members.me, len(self.members.table.living)
        self.links.send(link, wire.Hello(me, me.speaks, me.features, reply, size))

    def on_hello(self, link: Link, hello: wire.Hello) -> None:
        """Somebody says who it is."""
        record, me = hello.record, self.members.me
        if (link.peer or record.uid) != record.uid or (hello.reply and not link.dialled):
            self.context.counts["hostile"] += 1  # a process does not become another
            return
        link.to = record.uid
        version = common_version(me.speaks, hello.speaks)
        if version is None:
            self._incompatible(link.address or record.address, hello.speaks)
            text = f"speaks versions {me.speaks}, the other {hello.speaks}"
            self.links.close(link, codes.INCOMPATIBLE, text, speaks=me.speaks)
        elif record.uid == me.uid:
            self.joining.met_myself(link.address)
            self.links.close(link, codes.MYSELF)
        else:
            link.version, link.features = version, me.features & hello.features
            (self._serve if record.role == LEAF else self._meet)(link, hello)

    def _meet(self, link: Link, hello: wire.Hello) -> None:
        record, members = hello.record, self.members
        if link.peer is not None:  # we know each other: it has something new to say of itself
            members.roster.introduced(record, link)
            return
        known = members.table.rows.get(record.uid)
        if not hello.reply and known is None and self.joining.crowded():
            self.links.send(link, wire.Redirect(self.joining.others(8)))
            return
        expected = link.expects
        self.links.established(link, record.uid)
        if not hello.reply:
            self.hello(link, reply=True)
        fresh = not members.table.alive(record.uid)
        members.roster.first_contact()
        members.roster.introduced(record, link)
        if expected is not None and expected != record.uid and link.dialled:
            members.detection.replaced(expected, link.address)
        members.detection.linked(link, record.uid)
        if fresh and link.dialled:
            self.sync.begin(link)
        elif link.dialled:
            self.context.timers.set(("sync-with", link.number), self.context.now + SETTLED)
        if members.roster.is_leaf:
            self.context.timers.set_earlier(("guest",), self.context.now + TABLE_HERE)

    def _serve(self, link: Link, hello: wire.Hello) -> None:
        """A leaf wants to be served; a leaf itself serves nobody."""
        record = hello.record
        if self.members.roster.is_leaf or record.uid in self.members.table.rows:
            self.links.close(link, codes.UNNEEDED)
        elif self.host.full(record.uid):
            self.links.send(link, wire.Redirect(self.joining.others(8)))
        else:
            new = link.peer is None
            self.links.established(link, record.uid)
            self.host.serve(record, guest=link.number in self.links.guests)
            if new and not hello.reply:
                self.hello(link, reply=True)

    def on_goaway(self, link: Link, message: wire.Goaway) -> None:
        """The other side ends the link."""
        if message.code == codes.INCOMPATIBLE:
            self._incompatible(link.address, message.speaks)
        if message.code == codes.MYSELF and link.dialled:
            self.joining.met_myself(link.address)
        if link.dialled:
            self.links.give_up(link)
        else:
            self.links.lost(link.number)
        if message.code == codes.EXPELLED:
            self.links.expelled(link)

    def other_version(self, link: Link | None) -> None:
        """A frame came whose very header this program cannot read."""
        self._incompatible(link.address if link is not None else "", None)

    def _incompatible(self, address: str, theirs: Versions | None) -> None:
        self.context.counts["incompatible"] += 1
        if self._told.get(address, ()) == theirs or len(self._told) >= TOLD:
            return
        self._told[address] = theirs
        mine = self.members.me.speaks
        other = f"{theirs[0]} to {theirs[1]}" if theirs is not None else "others"
        detail = f"this member speaks versions {mine[0]} to {mine[1]} of the protocol, that {other}"
        self.context.emit(Incompatible(address, detail, mine, theirs))
