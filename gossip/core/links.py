"""Links: which are open, to whom, and which are wished for.

A link is one connection, seen from one end; the number is the transport's and this side's alone
(positive: dialled here, negative: accepted here). It is dead to the protocol until a hello has
told who is at the other end. Of a pair that wants a link the lower uid dials; the higher one does
so as well if it waited in vain, and of two links of a pair that of the lower uid's dialling stays.
Only the dialler can close a link (libzmq cannot close one accepted connection): the other side
asks it to by a goaway.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.bucket import Bucket
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.events import Close, Open, Send, Why
from meshcache.gossip.core.guests import Guests

FRAMES = 1000
"""Frames a second (of 16 KiB; a larger one counts for several) that are taken from one link."""
UNNEEDED, INCOMPATIBLE, MYSELF, LEAVING, EXPELLED = 1, 2, 3, 4, 5


@dataclass(slots=True, eq=False)
class Link:
    """One connection, seen from here."""

    number: int
    opened: float
    address: str = ""
    """What was dialled; empty for an accepted link."""
    expects: bytes | None = None
    """Who was expected at the address."""
    peer: bytes | None = None
    """Who is there, since its hello."""
    to: bytes = wire.NOBODY
    """Whom frames are meant for: who said hello, if it is not (yet) accepted as a peer."""
    keep_until: float = 0.0
    """Not closed before this even if nobody wants it."""
    version: int = 0
    """The protocol that both ends speak, since the hello."""
    features: int = 0
    """What both ends can do beyond it (bits, `wire.FEATURES`)."""
    frames: Bucket = field(default_factory=lambda: Bucket(rate=FRAMES, burst=4 * FRAMES))
    """What the other side may send."""
    comparisons: Bucket = field(default_factory=lambda: Bucket(rate=2, burst=8))
    """How often it may ask for hashes or rows."""
    round_trip: float | None = None
    """The last that was measured, seconds."""

    @property
    def dialled(self) -> bool:
        """Whether this side opened it."""
        return self.number > 0


@dataclass(slots=True)
class _Redial:
    after: float
    delay: float
    wanted_since: float


@dataclass
class Links:
    """All links of one node."""

    context: Context
    address_of: Callable[[bytes], str | None]
    """The address of a member, None if it is not known (any longer)."""
    greet: Callable[[Link], None]
    """Says hello over a link that was just dialled."""
    on_replaced: Callable[[bytes, str], None]
    """Told that another process than this one is linked at this address."""
    by_number: dict[int, Link] = field(default_factory=dict)
    by_peer: dict[bytes, list[Link]] = field(default_factory=dict)
    guests: Guests = field(default_factory=Guests)
    wanted: frozenset[bytes] = frozenset()
    _dialled: dict[str, Link] = field(default_factory=dict)
    _redials: dict[bytes, _Redial] = field(default_factory=dict)
    _numbers: int = 0

    # --- opening

    def dial(self, address: str, expects: bytes | None = None) -> Link:
        """The link dialled to this address: there is at most one."""
        link = self._dialled.get(address)
        if link is not None:
            if link.peer is None and link.expects is None:
                link.expects = expects
            return link
        self._numbers += 1
        now = self.context.now
        link = Link(self._numbers, now, address, expects)
        link.keep_until = now + self.context.settings.link_linger
        self.by_number[link.number] = self._dialled[address] = link
        self.context.counts["dials"] += 1
        self.context.outputs.append(Open(link.number, address))
        self.context.timers.set(("dialled", link.number), now + self.context.settings.dial_timeout)
        self.greet(link)
        return link

    def accepted(self, number: int) -> Link:
        """The link of this number, which the other side opened if it is not known."""
        link = self.by_number.get(number)
        if link is None:
            link = self.by_number[number] = Link(number, self.context.now)
            link.keep_until = link.opened + self.context.settings.link_linger
        return link

    def established(self, link: Link, peer: bytes) -> None:
        """The hello of `peer` came over `link`."""
        self.context.timers.cancel(("dialled", link.number))
        if link.peer == peer:
            return
        if link.peer is not None:
            self._unlist(link)
        link.peer = link.to = peer
        self.by_peer.setdefault(peer, []).append(link)
        self._redials.pop(peer, None)
        self._drop_surplus(peer)

    def _drop_surplus(self, peer: bytes) -> None:
        links = self.by_peer[peer]
        if len(links) < 2:
            return
        lower_dials = self.context.uid < peer
        good = [link for link in links if link.dialled == lower_dials] or links
        keep = max(good, key=lambda link: link.opened)
        for link in [link for link in links if link is not keep]:
            if link.dialled:
                self.close(link, UNNEEDED)

    # --- using

    def of(self, peer: bytes) -> Link | None:
        """The best open link to `peer`: of two the one that will stay."""
        links = self.by_peer.get(peer)
        if not links:
            return None
        if len(links) == 1:
            return links[0]
        lower_dials = self.context.uid < peer
        return max(links, key=lambda link: (link.dialled == lower_dials, link.opened))

    def open(self) -> Iterator[Link]:
        """One open link to each peer that has any."""
        for peer in self.by_peer:
            link = self.of(peer)
            if link is not None:
                yield link

    def send(self, link: Link, message: wire.Message) -> None:
        """Send over one link."""
        to = link.to
        if isinstance(message, wire.Hello) and not message.reply:
            to = wire.NOBODY
        frame = wire.encode(message, mesh=self.context.mesh, to=to)
        self.context.counts["frames_sent"] += 1
        self.context.counts["bytes_sent"] += len(frame)
        self.context.outputs.append(Send(link.number, frame))

    def keep(self, link: Link, seconds: float) -> None:
        """Leave the link open this much longer, whoever wants it."""
        link.keep_until = max(link.keep_until, self.context.now + seconds)

    # --- closing

    def close(
        self, link: Link, code: int, text: str = "", *, speaks: tuple[int, int] | None = None
    ) -> None:
        """Say goodbye; close the link if it was dialled here, else let the other side do it."""
        if link.number not in self.by_number:
            return
        if link.to != wire.NOBODY:
            self.send(link, wire.Goaway(code, text, speaks))
        if link.dialled:
            self.context.outputs.append(Close(link.number))
            self._remove(link)

    def lost(self, number: int) -> Link | None:
        """The transport says that this link is closed or never opened."""
        link = self.by_number.get(number)
        if link is not None:
            self._remove(link)
        return link

    def give_up(self, link: Link) -> None:
        """Close a dialled link that never said hello."""
        self.context.outputs.append(Close(link.number))
        self._remove(link)

    def expel(self, peer: bytes) -> None:
        """Close what is open to a member that failed, and say so: if it lives after all, it would
        else take those whom it hears no more for dead."""
        for link in list(self.by_peer.get(peer, ())):
            self.close(link, EXPELLED)
            self.lost(link.number)

    def _remove(self, link: Link) -> None:
        del self.by_number[link.number]
        if self._dialled.get(link.address) is link:
            del self._dialled[link.address]
        self.context.timers.cancel(("dialled", link.number))
        self._unlist(link)

    def _unlist(self, link: Link) -> None:
        if link.peer is not None:
            links = self.by_peer[link.peer]
            links.remove(link)
            if not links:
                del self.by_peer[link.peer]

    # --- wishing

    def want(self, peers: Iterable[bytes]) -> None:
        """From now on keep a link to each of these, and to no others."""
        before, self.wanted = self.wanted, frozenset(peers)
        now, settings = self.context.now, self.context.settings
        for peer in sorted(self.wanted - before):
            patience = 0.0 if self.context.uid < peer else settings.wait_for_dial
            self._redials[peer] = _Redial(now + patience, settings.redial, now)
        for peer in sorted(before - self.wanted):
            self._redials.pop(peer, None)
            for link in self.by_peer.get(peer, ()):
                self.keep(link, settings.link_linger)
        self.tend()

    def urge(self, peer: bytes) -> Link | None:
        """Dial a member at once, whoever's turn it is; None if there is no address."""
        address = self.address_of(peer)
        if not address:
            return None
        link = self.dial(address, peer)
        if link.peer is not None and link.peer != peer:
            self.on_replaced(peer, address)
        return link

    def failed(self, peer: bytes, why: Why) -> None:
        """A dial of `peer` failed: the next one waits longer each time."""
        redial = self._redials.get(peer)
        if redial is not None:
            redial.after = self.context.now + redial.delay
            redial.delay = min(2 * redial.delay, self.context.settings.redial_max)

    def expelled(self, link: Link) -> None:
        """Whoever is at the other end holds this member failed and closes the link. Where it is a
        neighbour, dial it anew: with the hellos this member learns what is said of it, and can
        deny it. (Not at once again, though, if that end does nothing but close links.)"""
        peer = link.peer
        long_open = link.opened < self.context.now - self.context.settings.redial
        if peer is not None and peer in self.wanted and long_open:
            self.urge(peer)

    def tend(self) -> None:
        """Dial who is wanted and missing, close what nobody wants; sets its own timer."""
        now, settings = self.context.now, self.context.settings
        again = now + settings.link_linger
        for peer in sorted(self.wanted):
            if peer in self.by_peer:
                continue
            redial = self._redials.get(peer)
            if redial is None:
                patience = 0.0 if self.context.uid < peer else settings.wait_for_dial
                redial = self._redials[peer] = _Redial(now + patience, settings.redial, now)
            if redial.after <= now:
                self.urge(peer)
                redial.after = now + settings.dial_timeout
            again = min(again, redial.after)
        spare = [
            link
            for link in self.by_number.values()
            if link.dialled and link.peer is not None and link.peer not in self.wanted
        ]
        spare.sort(key=lambda link: link.keep_until)
        surplus = len(spare) - settings.spare_links
        for link in spare:
            if link.keep_until <= now or (surplus > 0 and link.keep_until <= now + settings.redial):
                surplus -= 1
                self.close(link, UNNEEDED)
            else:
                again = min(again, link.keep_until)
        self.context.timers.set(("tend",), max(again, now + 0.05))
