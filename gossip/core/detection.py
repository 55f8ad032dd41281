"""Whether the others live: looking, asking, telling, judging, put together for one node.

`watch` looks, `inquiries` and `answers` are what observers ask each other, `alerts` what they tell
all, and `verdicts` draws from that the same conclusion at every member. What follows from it, for
the table and the user, is here.
"""

from meshcache.gossip import wire
from meshcache.gossip.core.alerts import Alerts
from meshcache.gossip.core.answers import Answers
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.events import MemberAlive, MemberSuspect, Why
from meshcache.gossip.core.inquiries import Inquiries
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.newcomers import Newcomers
from meshcache.gossip.core.probes import Probes
from meshcache.gossip.core.rings import Rings
from meshcache.gossip.core.roster import End, Roster
from meshcache.gossip.core.spread import Spread
from meshcache.gossip.core.table import FAILED
from meshcache.gossip.core.verdicts import REFUSED, REPLACED, Verdicts
from meshcache.gossip.core.watch import Watch


class Detection:
    """The observer and the judge in one node (a leaf is the latter alone)."""

    def __init__(self, context: Context, links: Links, spread: Spread, roster: Roster) -> None:
        """Begin with the rings that the roster has now."""
        self.context = context
        self.links = links
        self.spread = spread
        self.roster = roster
        self.table = roster.table
        self.verdicts = Verdicts(context, self.table, self._suspect, self._cleared, self.declare)
        self.verdicts.view = self.verdicts.rings = roster.view_changes.rings
        self.probes = Probes(context, links)
        self.alerts = Alerts(
            context,
            lambda uid: self.table.rows[uid].incarnation,
            self.verdicts.hear,
            spread.publish,
        )
        self.inquiries = Inquiries(
            context,
            links,
            self._observers_to_ask,
            lambda uid: self.watch.misses(uid),
            lambda: self.watch.subjects.heard(),
            lambda uid: self.watch.still_missing(uid),
        )
        self.watch = Watch(
            context,
            links,
            self.probes,
            self.alerts,
            Newcomers(context, links, lambda uid: self.alerts.say(uid, REFUSED)),
            self._accused_by_other,
            self.inquiries.agree,
            self._missing,
        )
        self.answers = Answers(
            context, links, self.watch.misses, self.watch.look_at, self.inquiries.asked
        )

    @property
    def rings(self) -> Rings:
        """Who observes whom, the suspects observing nobody."""
        return self.verdicts.rings

    def new_view(self, view: Rings, fit: Rings) -> None:
        """The rings changed: those of all in the view, or of the fit among them."""
        self.verdicts.new_view(view, fit)
        if not self.roster.is_leaf:
            self.watch.new_view(view, fit)

    # --- alerts and verdicts

    def hear(self, alert: wire.Alert) -> bool:
        """An observer has told all what it sees; True if that was news."""
        if alert.observer == self.context.uid:
            self.watch.disown(alert)
            return False
        return self.verdicts.hear(alert)

    def credible(self, uid: bytes, cause: int) -> bool:
        """Whether what is known here speaks for this death too."""
        row = self.table.rows[uid]
        if cause == REPLACED:
            return len(self.table.at(row.record.address)) > 1
        return row.suspect or REFUSED in self.verdicts.accusers(uid).values()

    def refuted(self, uid: bytes) -> None:
        """A member says that it lives, in a higher incarnation."""
        self.verdicts.refuted(uid)
        self.watch.refuted(uid)

    def ended(self, uid: bytes) -> None:
        """A member failed, left or is forgotten."""
        self.verdicts.ended(uid)
        self.roster.reentry.doubted(uid)

    def hush(self, until: float) -> None:
        """Accuse nobody before this time."""
        self.watch.hush(until)

    def _accused_by_other(self, uid: bytes) -> bool:
        return bool(self.verdicts.accusers(uid).keys() - {self.context.uid})

    def _observers_to_ask(self, uid: bytes) -> list[bytes]:
        """The other observers of a member that may be asked about it. (Who is accused itself cannot
        be relied upon to answer.)"""
        rows = self.table.rows
        return [
            other
            for other in self.rings.observers(uid)
            if other != self.context.uid
            and self.table.alive(other)
            and other not in self.verdicts.accused
            and rows[other].record.features & wire.ARBITERS
        ]

    def _missing(self, uid: bytes, missing: bool) -> None:
        if missing:
            self.answers.unheard(uid)
        else:
            self.inquiries.close(uid)

    def _suspect(self, uid: bytes) -> None:
        if uid == self.context.uid:
            self.roster.reentry.accused(self.verdicts.accusers(uid))
            self.roster.deny(self.roster.me.incarnation, failed=False)
            return
        row = self.table.rows[uid]
        row.suspect = True
        self.roster.view_changes.soon(uid)
        self.roster.learned(row, MemberSuspect)

    def hold_over(self, uid: bytes) -> None:
        """A member has been suspect for the hold."""
        wait = self.watch.subjects.alone_at - self.context.now
        if wait > 0:
            self.context.timers.set(("hold", uid), self.context.now + wait)
        else:
            self.verdicts.hold_over(uid)

    def _cleared(self, uid: bytes) -> None:
        row = self.table.rows[uid]
        if row.suspect:
            row.suspect = False
            self.roster.reentry.doubted(uid)
            self.roster.view_changes.soon(uid)
            self.roster.learned(row, MemberAlive)

    def declare(self, uid: bytes, cause: int) -> None:
        """The mesh's rules say that this member is dead."""
        if uid == self.context.uid:
            self.roster.deny(self.roster.me.incarnation, failed=True)
            return
        incarnation = self.table.rows[uid].incarnation
        if self.roster.end(End(uid, FAILED, incarnation, self.context.wall_ms, cause)):
            self.spread.publish(wire.Dead(uid, incarnation, cause))

    def replaced(self, uid: bytes, address: str) -> None:
        """Another process answers at this address: if it is that of `uid`, `uid` is gone."""
        if self.table.alive(uid) and self.table.rows[uid].record.address == address:
            self.declare(uid, REPLACED)

    # --- links and time

    def heard(self, uid: bytes) -> None:
        """A frame came from `uid`."""
        if uid in self.table.rows:  # a leaf, maybe on this very host, proves no way to the others
            if self.watch.subjects.alone_at > self.context.now:
                self.verdicts.hold_anew()  # whom this member misses may have spoken meanwhile
            self.watch.heard(uid)
        if uid in self.answers.waiting:
            self.answers.heard(uid)

    def linked(self, link: Link, uid: bytes) -> None:
        """`uid` has said hello over this link."""
        self.heard(uid)
        self.inquiries.linked(uid)
        self.probes.ask(link)  # its round trip is shown to the user

    def link_lost(self, uid: bytes) -> None:
        """The last link to a member was closed from outside."""
        self.inquiries.link_lost(uid)
        if self.table.alive(uid) and not self.roster.myself.leaving:
            self.watch.link_lost(uid, newcomer=uid not in self.verdicts.view.uids)
            self.links.tend()

    def dial_failed(self, uid: bytes, why: Why) -> None:
        """A member could not be reached."""
        (self.inquiries.refused if why is Why.REFUSED else self.inquiries.unreachable)(uid)
        if uid not in self.watch.subjects:
            self.answers.unheard(uid)
        if self.table.alive(uid):
            self.watch.dial_failed(uid, why)

    def hung_up(self, uid: bytes) -> None:
        """A member's address took a dial and ended it before a word was said."""
        if self.table.alive(uid):
            self.watch.hung_up(uid)

    def beat(self) -> None:
        """Beat, unless I have left."""
        if not self.roster.myself.leaving:
            self.watch.beat()
            self.roster.reentry.look(alone=self.watch.subjects.cut_off)

    def stalled(self, seconds: float) -> None:
        """I stood still for so long."""
        if seconds >= self.context.settings.hold:  # for less nobody is failed
            self.roster.reentry.trouble()
        self.watch.stalled(seconds)
        self.answers.stalled()
        self.verdicts.stalled(seconds)
        self.context.timers.delay("hearing", seconds)

    def reap(self) -> None:
        """Forget the cases that are over."""
        self.verdicts.reap()
        self.roster.reentry.reap()
