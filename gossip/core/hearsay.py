"""Words about others that cannot be taken for what they say: too early, unlikely, impossible.

- Too early: the end of a member that is not known here yet. It is kept for when the member is.
- Unlikely: a death of which no sign was seen here. The far side of a healed cut may have believed
  it, or somebody that is starved of CPU, or somebody lies. The member hears of it, and has time to
  deny it: as long as a suspect has to be heard, if it is only said to have been silent.
- Impossible: an incarnation far above the last; only the member raises it, one by one.
"""

from dataclasses import dataclass, field

from meshcache.gossip.core.context import Context
from meshcache.gossip.core.verdicts import SILENT

EARLY = 4096
DOUBTED = 4096
LEAP = 65_536
"""Incarnations by which a member may have gone on since it was last heard of."""
HIGHEST = 2**31
"""No member comes so far by itself; above it there is room to deny what is said."""


@dataclass
class Hearsay:
    """What one node has heard and does not believe yet."""

    context: Context
    is_leaf: bool = False
    """A leaf passes on nothing that it believes, and often has missed the signs: it may err."""
    _early: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Uid -> (incarnation, status)."""
    _doubted: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Uid -> (incarnation, cause)."""

    def impossible(self, incarnation: int, known: int | None) -> bool:
        """Whether a member cannot be in this incarnation (None: it was not known)."""
        if incarnation < HIGHEST and (known is None or incarnation <= known + LEAP):
            return False
        self.context.counts["hostile"] += 1
        return True

    def keep_early(self, uid: bytes, incarnation: int, status: int) -> bool:
        """Keep a word of the end of an unknown member; True if it was news."""
        if len(self._early) >= EARLY or self._early.get(uid, (-1, 0)) >= (incarnation, status):
            return False
        self._early[uid] = (incarnation, status)
        return True

    def take_early(self, uid: bytes) -> tuple[int, int] | None:
        """What was said of a member before it was known."""
        return self._early.pop(uid, None)

    def doubt(self, uid: bytes, incarnation: int, cause: int) -> bool:
        """Give a member time to deny its death; True if the word was news."""
        known = self._doubted.get(uid)
        if (known is not None and known[0] >= incarnation) or len(self._doubted) >= DOUBTED:
            return False
        self._doubted[uid] = incarnation, cause
        self.context.counts["deaths_doubted"] += 1
        settings = self.context.settings
        slow = cause == SILENT and not self.is_leaf
        patience = settings.hold if slow else settings.hearing
        self.context.timers.set(("hearing", uid), self.context.now + patience)
        return True

    def undenied(self, uid: bytes) -> tuple[int, int] | None:
        """(incarnation, cause) of a death that was doubted."""
        return self._doubted.pop(uid, None)

    def reap(self) -> None:
        """Forget what came too early for somebody who never came."""
        self._early.clear()
