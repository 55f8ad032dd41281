"""Questions to neighbours that they answer at once: how long the way is, and whether they live."""

from collections import deque
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.links import Link, Links

OPEN = 256
"""Probes whose answers are still known for what they are."""
LAST = 32
"""Round trips that say how long an answer may take."""


@dataclass
class Probes:
    """The probes of one node."""

    context: Context
    links: Links
    _number: int = 0
    _open: dict[int, tuple[bytes, float]] = field(default_factory=dict)
    """Number -> who was asked, and when."""
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=LAST))

    @property
    def patience(self) -> float:
        """How long an answer may take, seconds: four times the slowest of the last round trips,
        which on a lossy network hold retransmissions, but at least the set time and at most its
        double."""
        least = self.context.settings.probe_timeout
        return min(max(least, 4 * max(self._recent, default=0.0)), 2 * least)

    def ask(self, link: Link) -> int:
        """Send a probe; its number comes back in the answer."""
        self._number += 1
        if link.peer is not None:
            self._open[self._number] = (link.peer, self.context.now)
            if len(self._open) > OPEN:
                del self._open[next(iter(self._open))]
        self.links.send(link, wire.Probe(self._number))
        return self._number

    def answered(self, link: Link, number: int) -> bool:
        """A probe's answer came; False if it was none of this member's."""
        asked = self._open.get(number)
        if asked is None or asked[0] != link.peer:
            return False
        del self._open[number]
        link.round_trip = self.context.now - asked[1]
        self._recent.append(link.round_trip)
        return True
