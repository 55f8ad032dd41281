"""The view: who counts, and so who observes whom. Changes that come together are made together."""

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
    _changed: set[bytes] = field(default_factory=set)
    """Who came, went or moved to another zone."""
    _since: float | None = None

    def __post_init__(self) -> None:
        """Begin with nobody."""
        self.rings = Rings(self.context.settings.observers)

    def soon(self, uid: bytes) -> None:
        """A member came, went or moved: apply that after some quiet, or after some time."""
        self._changed.add(uid)
        now, settings = self.context.now, self.context.settings
        if self._since is None:
            self._since = now
        due = min(now + settings.view_quiet, self._since + settings.view_wait)
        self.context.timers.set(("view",), due)

    def apply(self) -> bool:
        """Make the rings of what changed since the last time; whether they are others now."""
        self._since = None
        changed, self._changed = self._changed, set()
        zones = self.rings.zones
        here = {
            uid: zone_of(self.table.rows[uid].record) for uid in changed if self.table.alive(uid)
        }
        joined = {uid: zone for uid, zone in here.items() if zones.get(uid) != zone}
        gone = [uid for uid in changed if uid not in here and uid in zones]
        if not joined and not gone:
            return False
        self.rings = self.rings.changed(joined, gone)
        return True
