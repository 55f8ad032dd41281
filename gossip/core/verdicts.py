"""From what observers say to suspect and failed: the same rules at every member.

An alert is one observer's word about its subject. Who observes an accused member and hears it says
so (vouches). The voters on a member are those of its observers that accuse it or vouch for it, and
at first also those that have not spoken yet and are not accused themselves; after `vote` seconds
silence is no vote, for whoever is silent may be dead, or on the far side of a cut.

- suspect: a majority of the voters accuses. Visible to the user, moves nothing.
- failed, at once: two voters (or the only one) were refused a connection: nobody listens there.
- failed, else: still suspect after the hold. Its observers say so first, in the same bytes.

A higher incarnation, which only the subject makes, voids all alerts before it; but one that keeps
refuting while its observers stay deaf runs out of refutations: then they have some time to say it
again, and it stays suspect meanwhile. After Rapid's cut detection and SWIM's suspicion, both split
in two: routing around is cheap, moving ownership is not.

Every word counts for a while only, and is said again as long as it is so. Words get lost, above all
those of a member that is in trouble itself: what it said before would stand here for ever, and what
it took back meanwhile would not be known.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.rings import Rings
from meshcache.gossip.core.table import ALIVE, Table

HEARD, SILENT, REFUSED = 0, 1, 2
REPLACED = 3
RECENT = 30.0
"""An alert counts if its observer was one this long ago: rings differ while views differ."""
COUNTS = 15.0
"""So long an observer's word counts: half as long again as until it is said again."""
STRANGERS = 8
"""Words kept of members that are no observers of the subject in the views that are known here."""


@dataclass(slots=True)
class Case:
    """What is said against one member."""

    alerts: dict[bytes, wire.Alert] = field(default_factory=dict)
    """The last word of each observer."""
    until: dict[bytes, float] = field(default_factory=dict)
    """Before when the word of each counts."""
    since: float = 0.0
    """When the first of the alerts that stand came."""
    observers: tuple[bytes, ...] = ()
    """Who observed the member then: those have a vote at first, whether they speak or not. Who has
    come to observe it since has none until it speaks."""
    refuted: list[float] = field(default_factory=list)
    suspect: bool = False

    def counting(self, now: float) -> dict[bytes, int]:
        """Who has said something that counts, and of what kind it was."""
        until = self.until
        return {one: word.kind for one, word in self.alerts.items() if until[one] > now}

    def take(self, alert: wire.Alert, until: float) -> None:
        """An observer's word, in place of what it said before."""
        self.alerts[alert.observer], self.until[alert.observer] = alert, until

    def void(self, observer: bytes) -> None:
        """What it said counts no more."""
        self.alerts.pop(observer, None)
        self.until.pop(observer, None)


def majority(voters: int) -> int:
    """How many of so many voters must agree."""
    return voters // 2 + 1


@dataclass
class Verdicts:
    """The open cases of one node."""

    context: Context
    table: Table
    on_suspect: Callable[[bytes], None]
    on_cleared: Callable[[bytes], None]
    on_dead: Callable[[bytes, int], None]
    rings: Rings = field(default_factory=lambda: Rings(1))
    """Of the fit: who has a vote, as far as is known here."""
    view: Rings = field(default_factory=lambda: Rings(1))
    """Of all in the view: whose word is taken as well."""
    cases: dict[bytes, Case] = field(default_factory=dict)
    accused: set[bytes] = field(default_factory=set)
    _past: list[tuple[float, Rings]] = field(default_factory=list)

    def new_view(self, view: Rings, fit: Rings) -> None:
        """The rings changed: those of all in the view, or of the fit among them."""
        now = self.context.now
        if view is not self.view:
            self._past = [(until, old) for until, old in self._past if until > now][-3:]
            self._past.append((now + RECENT, self.view))
        self.view, self.rings = view, fit
        for uid in list(self.cases):
            self.evaluate(uid)

    def hear(self, alert: wire.Alert) -> bool:
        """Take in an observer's word; True if it was news."""
        settings = self.context.settings
        row = self.table.rows.get(alert.subject)
        if row is None or row.status != ALIVE:
            return row is None
        # An observer that hears its subject again need not know its newest incarnation yet.
        if alert.kind != HEARD and alert.incarnation < row.incarnation:
            return False
        case = self.cases.get(alert.subject)
        if case is None:
            case = self.cases[alert.subject] = Case()
        known = case.alerts.get(alert.observer)
        if known is not None and known.number >= alert.number:
            return False
        if known is None and not self._observes(alert.observer, alert.subject):
            # Views differ for a while, so strangers' words are kept, but not many.
            strangers = sum(not self._observes(one, alert.subject) for one in case.alerts)
            if strangers >= STRANGERS:
                self.context.counts["alerts_refused"] += 1
                return False
        if alert.kind != HEARD and alert.subject not in self.accused:
            case.since = self.context.now
            case.observers = self.rings.observers(alert.subject)
            self.context.timers.set(("vote", alert.subject), case.since + settings.vote)
        case.take(alert, self.context.now + COUNTS)
        self.evaluate(alert.subject)
        return True

    def reconsider(self) -> None:
        """Evaluate all open cases: whom to count as a voter has changed."""
        for uid in list(self.cases):
            self.evaluate(uid)

    def refuted(self, uid: bytes) -> None:
        """The subject raised its incarnation."""
        case = self.cases.get(uid)
        if case is None:
            return
        now, settings = self.context.now, self.context.settings
        case.refuted = [at for at in case.refuted if at > now - settings.refutation_window]
        case.refuted = [*case.refuted, now][-settings.refutations - 1 :]
        # Of itself a member knows better than all of them.
        spent = uid != self.context.uid and case.suspect
        spent = spent and len(case.refuted) > settings.refutations
        incarnation = self.table.rows[uid].incarnation
        for observer, alert in list(case.alerts.items()):
            if alert.kind == HEARD or alert.incarnation >= incarnation:
                continue
            if spent:
                case.until[observer] = min(case.until[observer], now + settings.reaffirm)
            else:
                case.void(observer)
        self.evaluate(uid)

    def close(self, uid: bytes) -> None:
        """The member failed, left or is forgotten, or nobody accuses it."""
        self.cases.pop(uid, None)
        self.accused.discard(uid)
        for kind in "hold", "vote", "lapse":
            self.context.timers.cancel((kind, uid))

    def ended(self, uid: bytes) -> None:
        """The member failed, left or is forgotten; should it come back, it has said nothing yet."""
        self.close(uid)
        for case in self.cases.values():
            case.void(uid)

    def stalled(self, seconds: float) -> None:
        """This process stood still: words that it has not read yet are no silence."""
        for case in self.cases.values():
            case.since += seconds
            for observer in case.until:
                case.until[observer] += seconds
        for kind in "hold", "vote", "lapse":
            self.context.timers.delay(kind, seconds)

    def reap(self) -> None:
        """Forget the cases in which nobody accuses anybody any more."""
        for uid in self.cases.keys() - self.accused:
            if self.cases[uid].since < self.context.now - RECENT:
                self.close(uid)

    def accusers(self, uid: bytes) -> dict[bytes, int]:
        """Who accuses `uid` with right, and of what kind."""
        case = self.cases.get(uid)
        if case is None:
            return {}
        return {
            observer: kind
            for observer, kind in case.counting(self.context.now).items()
            if kind != HEARD and self._observes(observer, uid)
        }

    def _observes(self, observer: bytes, uid: bytes) -> bool:
        now = self.context.now
        return self.table.alive(observer) and (
            observer in self.rings.observers(uid)
            or observer in self.view.observers(uid)
            or any(until > now and observer in old.observers(uid) for until, old in self._past)
        )

    def _voters(self, uid: bytes, case: Case, accusers: dict[bytes, int]) -> set[bytes]:
        now = self.context.now
        voters = {
            observer
            for observer, kind in case.counting(now).items()
            if kind == HEARD and self._observes(observer, uid)
        }
        if now < case.since + self.context.settings.vote:
            first = (one for one in case.observers if self.table.alive(one))
            voters.update(one for one in first if one not in self.accused)
        return voters | accusers.keys()

    def _mark(self, uid: bytes, case: Case) -> None:
        """Whether anybody accuses the member: who is accused has no vote on others at first."""
        timers, now = self.context.timers, self.context.now
        against = [case.until[one] for one, kind in case.counting(now).items() if kind != HEARD]
        if against:
            timers.set(("lapse", uid), min(against))
        if bool(against) != (uid in self.accused):
            (self.accused.add if against else self.accused.discard)(uid)
            if len(self.cases) > 1:
                timers.set_earlier(("verdicts",), now + 0.05)

    def evaluate(self, uid: bytes) -> None:
        """Apply the rules to one member."""
        case = self.cases.get(uid)
        row = self.table.rows.get(uid)
        if case is None or row is None or row.status != ALIVE:
            self.close(uid)
            return
        self._mark(uid, case)
        accusers = self.accusers(uid)
        voters = self._voters(uid, case, accusers)
        refused = sum(kind == REFUSED for kind in accusers.values())
        living = set(self.rings.observers(uid)) - self.accused | accusers.keys()
        if accusers and refused >= min(2, len(living)):
            self.on_dead(uid, REFUSED)
            return
        suspect = bool(accusers) and len(accusers) >= majority(len(voters))
        if suspect and not case.suspect:
            case.suspect = True
            wait = self.context.settings.hold + (0.0 if self.context.uid in accusers else 1.0)
            self.context.timers.set(("hold", uid), self.context.now + wait)
            self.on_suspect(uid)
        elif case.suspect and not suspect:
            case.suspect = False
            self.context.timers.cancel(("hold", uid))
            self.on_cleared(uid)

    def hold_anew(self) -> None:
        """Nobody was heard here, and now somebody is: every hold begins anew."""
        until = self.context.now + self.context.settings.hold
        for uid, case in self.cases.items():
            if case.suspect and (self.context.timers.due(("hold", uid)) or until) < until:
                self.context.timers.set(("hold", uid), until)

    def hold_over(self, uid: bytes) -> None:
        """The hold of a suspect has ended."""
        case = self.cases.get(uid)
        if case is not None and case.suspect:
            self.on_dead(uid, SILENT)
