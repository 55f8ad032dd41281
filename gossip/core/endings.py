"""How links end, and dials that lead to none: who is told what."""

from dataclasses import dataclass

from meshcache.gossip.core.context import Context
from meshcache.gossip.core.detection import Detection
from meshcache.gossip.core.events import Why
from meshcache.gossip.core.leaves import Guest, Host
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.spread import Spread


@dataclass
class Endings:
    """The ends of one node's links."""

    context: Context
    links: Links
    spread: Spread
    detection: Detection
    host: Host
    guest: Guest
    is_leaf: bool

    def closed(self, number: int, why: Why) -> None:
        """A link ended, or one that was to be opened did not."""
        self.links.guests.discard(number)
        link = self.links.lost(number)
        if link is None:
            return
        self.spread.link_lost(number)
        if self.is_leaf:
            self.guest.lost(link)
        elif link.peer is not None:
            self.host.lost(link.peer)
        if link.peer is None:
            self._not_opened(link, why)
        elif link.peer not in self.links.by_peer:
            self.detection.link_lost(link.peer)

    def dialled_out(self, number: int) -> None:
        """A dial has taken too long."""
        link = self.links.by_number.get(number)
        if link is not None and link.peer is None:
            self.links.give_up(link)
            self._not_opened(link, Why.UNREACHABLE)

    def _not_opened(self, link: Link, why: Why) -> None:
        who = link.expects
        if who is None:
            return
        self.links.failed(who, why)
        if self.is_leaf:
            self.guest.unreachable(who)
        early = self.context.now < link.opened + self.context.settings.dial_timeout / 3
        if why is Why.CLOSED or (why is Why.UNREACHABLE and early):
            self.detection.hung_up(who)
        else:
            self.detection.dial_failed(who, why)
