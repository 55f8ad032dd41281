"""The members and the view: who is here, whether they live, and who observes whom."""

from meshcache.gossip import wire
from meshcache.gossip.core import shown
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.detection import Detection
from meshcache.gossip.core.events import Member, ViewChanged
from meshcache.gossip.core.links import Links
from meshcache.gossip.core.rings import Rings
from meshcache.gossip.core.roster import Roster
from meshcache.gossip.core.spread import Spread
from meshcache.gossip.core.table import Table
from meshcache.gossip.core.verdicts import HEARD, REFUSED


class Membership:
    """The members, as one node sees them."""

    def __init__(self, context: Context, record: wire.Record, links: Links, spread: Spread) -> None:
        """Begin with myself alone."""
        self.context = context
        self.links = links
        self.roster = Roster(context, record, links, spread)
        self.detection = Detection(context, links, spread, self.roster)
        self.roster.judge = self.detection
        self.table = self.roster.table
        self.view_changes = self.roster.view_changes

    @property
    def me(self) -> wire.Record:
        """My own record."""
        return self.roster.me

    @property
    def rings(self) -> Rings:
        """Who observes whom."""
        return self.view_changes.rings

    def view(self, uid: bytes) -> Member:
        """A member as the user sees it."""
        return self.roster.view(uid)

    def all(self) -> list[Member]:
        """All members (`shown.everybody`)."""
        return shown.everybody(self.table, self.me if self.roster.is_leaf else None)

    def on_rumour(self, rumour: wire.Rumour) -> bool:
        """A rumour about a member; True if it was news."""
        if not isinstance(rumour, wire.Alert):
            return self.roster.on_rumour(rumour)
        if not self.detection.hear(rumour):
            return False
        known = rumour.subject in self.rings.uids or self.roster.is_leaf
        if rumour.kind == REFUSED and not known:
            self.apply_view()  # it died as it joined: who observes it must not wait for the rings
        if rumour.kind != HEARD:
            self.detection.watch.alerted(rumour.subject)
        return True

    # --- the view

    def acquaint(self, table: Table, rings: Rings) -> None:
        """Know all that this table holds, this member among them, without a word to anybody (a
        simulation begins so). Neither may change any more: they are shared."""
        self.table.adopt(table)
        self.view_changes.begin(rings)
        self._moved()

    def apply_view(self) -> None:
        """Take all changes since the last time into the rings, and move links."""
        before = self.rings
        if self.view_changes.apply():
            self._moved()
        if self.rings is not before:
            self.context.emit(ViewChanged(len(self.rings)))

    def _moved(self) -> None:
        self.detection.new_view(self.rings, self.view_changes.fit)
        if not self.roster.is_leaf:
            watch = self.detection.watch
            kept = {*watch.subjects, *watch.observers}
            self.links.want(kept - {self.me.uid})

    def reap(self) -> None:
        """Forget what is old."""
        self.roster.reap()
        self.detection.reap()
