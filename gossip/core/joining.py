"""Joining by seeds, and finding back after a partition.

Seeds are looked up and asked again for ever: often while alone, once a minute otherwise, and then
only addresses at which no living member is known. So two meshes that began apart, or a member that
everybody has forgotten, find together without anybody's doing. Besides, the members of one side
together try about one lost member in a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from meshcache.gossip.core.context import Context
from meshcache.gossip.core.events import Resolve
from meshcache.gossip.core.links import Links
from meshcache.gossip.core.table import FAILED, Table

REDIRECTS = 16
"""Followed in one round of seeds."""
MINE = 64


@dataclass
class Joining:
    """How one node finds others."""

    context: Context
    links: Links
    table: Table
    lost: set[bytes]
    """Members that failed without a refusal: they may come back."""
    seeds: bool = False
    """Whether there is anything to look up."""
    mine: set[str] = field(default_factory=set)
    """Addresses at which this member itself answered."""
    _followed: int = 0
    """Redirects followed since the last round."""
    _delay: float = 0.0
    _welcomes: list[float] = field(default_factory=list)

    @property
    def alone(self) -> bool:
        """Whether no other living member is known."""
        return len(self.table.living) == self.table.alive(self.context.uid)

    def round(self) -> None:
        """Look the seeds up."""
        if not self.seeds:
            return
        settings = self.context.settings
        self._followed = 0
        self.context.outputs.append(Resolve())
        if self.alone:
            self._delay = min(max(1.5 * self._delay, settings.join_retry), settings.join_retry_max)
        else:
            self._delay = settings.rejoin
        self.context.timers.set(("join",), self.context.now + self.context.jitter(self._delay))
        if not self.alone:
            self._delay = 0.0

    def found(self, addresses: Sequence[str]) -> None:
        """Where the seeds are now."""
        strange = [
            address
            for address in dict.fromkeys(addresses)
            if address not in self.mine and not self.table.at(address)
        ]
        self.context.rng.shuffle(strange)
        for address in strange[: self.context.settings.join_asks]:
            self.links.dial(address)

    def redirected(self, addresses: Sequence[str]) -> None:
        """Somebody sends me on; whoever answers so for ever is not followed for ever."""
        self._followed += 1
        if self._followed <= REDIRECTS:
            self.found(addresses)
        else:
            self.context.counts["redirects_refused"] += 1

    def met_myself(self, address: str) -> None:
        """At this address I answer myself."""
        if address and len(self.mine) < MINE:
            self.mine.add(address)

    def crowded(self) -> bool:
        """Whether so many joined here in the last second that this one is sent on."""
        now = self.context.now
        self._welcomes = [at for at in self._welcomes if at > now - 1.0]
        if len(self._welcomes) >= self.context.settings.joins_per_second:
            return len(self.table.living) > 4
        self._welcomes.append(now)
        return False

    def others(self, count: int) -> list[str]:
        """Addresses of some living members, to send a newcomer on to."""
        living = sorted(self.table.living - {self.context.uid})
        chosen = self.context.rng.sample(living, min(count, len(living)))
        return [self.table.rows[uid].record.address for uid in chosen]

    def heal(self) -> None:
        """Maybe try a lost member: about one of all living members does in each period."""
        context = self.context
        context.timers.set(("heal",), context.now + context.jitter(context.settings.heal))
        rows = self.table.rows
        for uid in [one for one in self.lost if one not in rows or rows[one].status != FAILED]:
            self.lost.discard(uid)
        if not self.lost or context.rng.random() * len(self.table.living) > 1.5:
            return
        uid = context.rng.choice(sorted(self.lost))
        address = self.table.rows[uid].record.address
        if not self.table.at(address):
            context.counts["heal_dials"] += 1
            self.links.dial(address, uid)
