"""Members that joined a moment ago and are in nobody's rings yet.

If one dies, those that it had linked to are its witnesses: they say what they saw, which counts for
nothing but makes its observers look at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from meshcache.gossip.core.context import Context
from meshcache.gossip.core.links import Links

MOST = 64
REFUSED_AGAIN = 0.15
"""Between the two refusals: a listener that is only being replaced is back after that."""


@dataclass
class Newcomers:
    """The newcomers whose links to this node were closed."""

    context: Context
    links: Links
    say_refused: Callable[[bytes], None]
    """Tells the mesh that nobody listens at a newcomer's address."""
    _refused: dict[bytes, int] = field(default_factory=dict)
    """Uid -> how often a dial was refused since its link was closed."""

    def __contains__(self, uid: bytes) -> bool:
        return uid in self._refused

    def link_lost(self, uid: bytes) -> None:
        """The last link to a newcomer was closed by its kernel."""
        if len(self._refused) < MOST:
            self._refused[uid] = 0
            self.links.urge(uid)

    def forget(self, uid: bytes) -> None:
        """It is heard, or cannot be judged from here."""
        if self._refused:
            self._refused.pop(uid, None)

    def refused(self, uid: bytes) -> None:
        """Nobody listens at its address: the second time that is told."""
        times = self._refused.pop(uid, None)
        if times == 0:
            self._refused[uid] = 1
            self.context.timers.set(("redial", uid), self.context.now + REFUSED_AGAIN)
        elif times is not None:
            self.say_refused(uid)
