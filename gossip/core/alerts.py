"""What an observer says to all about its subjects, and what others say in its name."""

from collections.abc import Callable
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.bucket import Bucket
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.verdicts import HEARD

MOST_NUMBERS = 2**32 - 1


@dataclass
class Alerts:
    """The words of one observer: each has a higher number than the one before."""

    context: Context
    incarnation_of: Callable[[bytes], int]
    hear: Callable[[wire.Alert], object]
    """Takes a word into this member's own verdicts."""
    publish: Callable[[wire.Alert], object]
    """Gives it to all others."""
    _number: int = 0
    _denials: Bucket = field(default_factory=lambda: Bucket(rate=10, burst=20))

    def say(self, uid: bytes, kind: int, *, private: bool = False) -> None:
        """Tell the mesh (or only this member's own verdicts) that I miss a member, or (kind heard)
        that I hear it."""
        self._number += 1
        alert = wire.Alert(uid, self.incarnation_of(uid), self.context.uid, self._number, kind)
        self.hear(alert)
        if not private:
            self.context.counts["alerts"] += kind != HEARD
            self.publish(alert)

    def disown(self, alert: wire.Alert, mine: int) -> None:
        """A word came in my name: if I did not say it, I say what is so (of the kind `mine`)."""
        if alert.number <= self._number or alert.kind == mine:
            return
        self.context.counts["hostile"] += 1
        self._number = alert.number
        if self._denials.take(self.context.now) and self._number < MOST_NUMBERS:
            self.say(alert.subject, mine)
