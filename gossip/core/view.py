"""The view: who counts, and so who observes whom. Changes that come together are made together.

A suspect observes nobody, as far as one can tell. So beside the rings of all who are in the view
there are those of the fit, the same without the suspects: who would come to observe a member if
its suspect observers were dead does so at once. On either side of a cut the dead would else be
found in rounds, those first that have observers on the other side, each round as long as the hold.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.rings import Rings
from meshcache.gossip.core.table import Table


def zone_of(record: wire.Record) -> str:
    """Where a member says that it is: its tag `zone`, empty if it has none."""
    return record.tags.get("zone", "")


@dataclass
class ViewChanges:
    """The rings, and what has changed since they were made (Rapid's cut)."""

    context: Context
    table: Table
    rings: Rings = field(init=False)
    fit: Rings = field(init=False)
    """Those of `rings` without the suspects; the same object if there are none."""
    _changed: set[bytes] = field(default_factory=set)
    """Who came, went, moved to another zone, or is (no longer) suspect."""
    _since: float | None = None

    def __post_init__(self) -> None:
        """Begin with nobody."""
        self.begin(Rings(self.context.settings.observers))

    def begin(self, rings: Rings) -> None:
        """Begin with these, none of them suspect."""
        self.rings = self.fit = rings

    def soon(self, uid: bytes) -> None:
        """A member came, went, moved, or is (no longer) suspect: apply that after some quiet, or
        after some time."""
        self._changed.add(uid)
        now, settings = self.context.now, self.context.settings
        if self._since is None:
            self._since = now
        due = min(now + settings.view_quiet, self._since + settings.view_wait)
        self.context.timers.set(("view",), due)

    def apply(self) -> bool:
        """Make the rings of what changed since the last time; whether any are others now."""
        self._since = None
        changed, self._changed = self._changed, set()
        rows = self.table.rows
        living = {uid: zone_of(rows[uid].record) for uid in changed if self.table.alive(uid)}
        fit = {uid: zone for uid, zone in living.items() if not rows[uid].suspect}
        before = self.rings, self.fit
        self.rings = _changed(self.rings, changed, living)
        self.fit = _changed(self.fit, changed, fit)
        if len(self.fit) == len(self.rings):
            self.fit = self.rings
        return before != (self.rings, self.fit)


def _changed(rings: Rings, changed: Set[bytes], here: Mapping[bytes, str]) -> Rings:
    """The rings after these have changed; each of them that is `here` now, with its zone."""
    joined = {uid: zone for uid, zone in here.items() if rings.zones.get(uid) != zone}
    gone = [uid for uid in changed if uid not in here and uid in rings.zones]
    return rings.changed(joined, gone) if joined or gone else rings
