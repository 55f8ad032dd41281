"""What a memberlist member holds of another, and a suspect's timer (suspicion.go)."""

import math
from dataclasses import dataclass

from meshcache.gossip.sim.memberlist.settings import MemberlistSettings

ALIVE, SUSPECT, DEAD = 0, 1, 2


@dataclass(slots=True)
class Held:
    """What a member holds of another."""

    state: int = ALIVE
    incarnation: int = 0
    since: float = 0.0


UNTOLD = Held()
"""What is held of those of whom nothing was ever told; not to be changed."""


@dataclass(slots=True)
class Suspicion:
    """A suspect's timer: from the longest wait down to the shortest as others confirm."""

    accusers: set[int]
    started: float
    shortest: float
    longest: float
    wanted: int
    confirmed: int = 0
    armed: int = 0

    @classmethod
    def begin(
        cls, settings: MemberlistSettings, members: int, accuser: int, now: float
    ) -> "Suspicion":
        """A first accuser has spoken."""
        scale = max(1.0, math.log10(max(1, members)))
        shortest = settings.suspicion_mult * scale * settings.probe_interval
        wanted = settings.suspicion_mult - 2 if settings.lha_suspicion else 0
        if members - 2 < wanted:
            wanted = 0
        longest = shortest * settings.suspicion_max_mult if wanted else shortest
        return cls({accuser}, now, shortest, longest, wanted)

    def confirm(self, accuser: int) -> bool:
        """Another accuser; False if it counts for nothing."""
        if self.confirmed >= self.wanted or accuser in self.accusers:
            return False
        self.accusers.add(accuser)
        self.confirmed += 1
        return True

    @property
    def ends(self) -> float:
        """When it ends."""
        share = math.log(self.confirmed + 1) / math.log(self.wanted + 1) if self.wanted else 0
        wait = self.longest - share * (self.longest - self.shortest)
        return self.started + max(self.shortest, wait)
