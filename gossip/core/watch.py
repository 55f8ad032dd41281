"""Observing: beats to my observers, and an eye on my subjects.

Each member sends a beat to its observers once in a period; any frame from a subject counts as
one. (SWIM and Rapid ping and wait for the answer; over links that stay open a one-way beat tells
the same with half the packets.) A subject whose beat is overdue is probed; if no answer comes in
time its other observers are asked (`inquiries`), and if they miss it too that is an alert of kind
silent. A link that is closed is dialled again at once; a dial that is refused, twice 150 ms apart,
is an alert of kind refused. Whoever hears of another's alert about its own subject probes that at
once.

A member first doubts itself: after it was woken late it reports nobody silent for a second, and
while it hears nobody at all it keeps its alerts to itself. (A refusal is no matter of time, so
neither holds it back.)
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.alerts import Alerts
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.events import Why
from meshcache.gossip.core.links import Links
from meshcache.gossip.core.newcomers import REFUSED_AGAIN, Newcomers
from meshcache.gossip.core.probes import Probes
from meshcache.gossip.core.rings import Rings
from meshcache.gossip.core.subjects import Subject, Subjects
from meshcache.gossip.core.verdicts import HEARD, REFUSED, SILENT

HANG_UPS = 3
"""Dials that are accepted and then hung up, in a row, before that is held for silence: a process
that dies in the middle of a handshake looks like this once."""
LOOK_AGAIN = 0.25
"""While others are asked about a subject, who has not got the question is tried this often."""


@dataclass
class Watch:
    """The observer in one node."""

    context: Context
    links: Links
    probes: Probes
    alerts: Alerts
    newcomers: Newcomers
    accused_by_other: Callable[[bytes], bool]
    """Whether another observer's alert stands against this member."""
    others_agree: Callable[[bytes], bool]
    """Whether the other observers of a subject that is missing miss it too; asks them."""
    on_missing: Callable[[bytes, bool], None]
    """Told of each subject that begins to be missing, or ends."""
    subjects: Subjects = field(init=False)
    observers: tuple[bytes, ...] = ()
    _quiet_until: float = 0.0

    def __post_init__(self) -> None:
        """Observe nobody yet."""
        self.subjects = Subjects(self.context)

    def new_view(self, view: Rings, fit: Rings) -> None:
        """The rings changed: who observes whom is new. Whom this member misses or accuses it goes
        on observing: nobody else can take its word back."""
        context = self.context
        own = view.observers(context.uid), fit.observers(context.uid)
        self.observers = tuple(dict.fromkeys(uid for some in own for uid in some))
        subjects = view.subjects(context.uid) | fit.subjects(context.uid)
        subjects |= self.subjects.doubted() & view.uids
        for uid in sorted(set(self.subjects) - subjects):
            if self.subjects.remove(uid).missing:
                self.on_missing(uid, False)
            context.timers.cancel(("probe", uid))
        for uid in sorted(subjects - set(self.subjects)):  # sorted: a run is to be repeatable
            linked = self.links.of(uid) is not None
            self.subjects.add(uid, grace=0.0 if linked else context.settings.newcomer_grace)
        context.timers.set_earlier(("watch",), context.now + context.settings.period)

    # --- beats

    def beat(self) -> None:
        """Tell the observers that I live."""
        for uid in self.observers:
            link = self.links.of(uid)
            if link is not None:
                self.links.send(link, wire.Beat())
        self.context.timers.set(("beat",), self.context.now + self.context.settings.period)

    def heard(self, uid: bytes) -> None:
        """A frame came from `uid`."""
        self.subjects.last = self.context.now
        subject = self.subjects.get(uid)
        if subject is None:
            self.newcomers.forget(uid)
            return
        subject.heard = self.context.now  # a newcomer's grace ends with its first frame
        subject.refused = subject.hung_up = 0
        if subject.missing:
            self._found(uid, subject)
            self.context.timers.cancel(("probe", uid))
        if subject.alert != HEARD:
            self._tell(uid, subject, HEARD)

    def misses(self, uid: bytes) -> bool:
        """Whether this is a subject that I miss already."""
        subject = self.subjects.get(uid)
        return subject is not None and subject.missing

    # --- looking

    def look(self) -> None:
        """Probe the subjects that are overdue; sets its own timer."""
        now, late = self.context.now, self.subjects.late
        again = now + late
        for uid, subject in self.subjects.items():
            due = subject.heard + late
            if due <= now + 0.001:
                if self.context.timers.due(("probe", uid)) is None:
                    self.probe(uid)
            else:
                again = min(again, due)
        self.context.timers.set(("watch",), again)

    def look_at(self, uid: bytes) -> bool:
        """Somebody doubts that this member lives: probe it, whoever it is; False if there is no way
        to it. What comes of it is told to `heard` or `unanswered`."""
        subject = self.subjects.get(uid)
        if subject is not None:
            if not subject.missing and self.context.timers.due(("probe", uid)) is None:
                # As if its beat were overdue: else its silence would not count yet.
                period = self.context.settings.period
                subject.heard = min(subject.heard, self.context.now - period)
                self.probe(uid)
            return True
        link = self.links.of(uid) or self.links.urge(uid)
        if link is not None and link.peer is not None:
            self.probes.ask(link)
        return link is not None

    def probe(self, uid: bytes) -> None:
        """Ask a subject for an answer, or dial it if there is no link."""
        link = self.links.of(uid)
        if link is not None:
            self.probes.ask(link)
            wait = self.probes.patience
        else:
            self.links.urge(uid)
            wait = self.context.settings.dial_timeout
        self.context.timers.set(("probe", uid), self.context.now + wait)

    def unanswered(self, uid: bytes) -> None:
        """A probe's time is over."""
        subject = self.subjects.get(uid)
        if subject is None or self.subjects.fresh(subject):
            return
        self._miss(uid, subject, SILENT)
        self.context.timers.set(
            ("probe-again", uid), self.context.now + self.context.settings.period
        )

    def probe_again(self, uid: bytes) -> None:
        """Keep trying a subject that is missing: it may come back."""
        subject = self.subjects.get(uid)
        if subject is not None and subject.missing:
            self.probe(uid)

    def redial(self, uid: bytes) -> None:
        """The second try after a refusal."""
        if (uid in self.subjects or uid in self.newcomers) and self.links.of(uid) is None:
            self.links.urge(uid)

    def link_lost(self, uid: bytes, *, newcomer: bool) -> None:
        """The last link to `uid` was closed by the other side's kernel."""
        if uid in self.subjects:
            self.links.urge(uid)
        elif newcomer:
            self.newcomers.link_lost(uid)

    def hung_up(self, uid: bytes) -> None:
        """A dial of `uid` was taken and ended before a word was said."""
        subject = self.subjects.get(uid)
        if subject is None:
            self.newcomers.forget(uid)
            return
        subject.hung_up += 1
        if subject.hung_up > HANG_UPS:
            self._miss(uid, subject, SILENT)
        else:
            self.context.timers.set(("redial", uid), self.context.now + REFUSED_AGAIN)

    def dial_failed(self, uid: bytes, why: Why) -> None:
        """Nobody (of ours) answers at the address of `uid`."""
        subject = self.subjects.get(uid)
        if subject is None:
            (self.newcomers.refused if why is Why.REFUSED else self.newcomers.forget)(uid)
        elif why is not Why.REFUSED:
            self._miss(uid, subject, SILENT)
        else:
            subject.refused += 1
            if subject.refused < 2:
                self.context.timers.set(("redial", uid), self.context.now + REFUSED_AGAIN)
            else:
                self._miss(uid, subject, REFUSED)

    def alerted(self, uid: bytes) -> None:
        """Another observer of my subject has told all that it misses it."""
        subject = self.subjects.get(uid)
        if subject is None or uid == self.context.uid:
            return
        due = self.context.now + self.context.settings.vouch
        self.context.timers.set_earlier(("vouch", uid), due)
        if subject.missing:
            self._miss(uid, subject, SILENT)
        else:
            self.look_at(uid)

    def vouch(self, uid: bytes) -> None:
        """Say that I hear a subject that others still accuse."""
        subject = self.subjects.get(uid)
        if subject is None or not self.accused_by_other(uid):
            return
        settings = self.context.settings
        hears = self.subjects.fresh(subject)
        if hears and not subject.missing:
            self.alerts.say(uid, HEARD)
        again = settings.say_again if hears else settings.vouch
        self.context.timers.set(("vouch", uid), self.context.now + again)

    # --- telling

    def _miss(self, uid: bytes, subject: Subject, kind: int) -> None:
        context = self.context
        if not subject.missing:
            subject.missing = True
            self.on_missing(uid, True)
        if subject.alert >= kind and not subject.void:
            return
        if kind == SILENT and context.now < self._quiet_until:
            context.timers.set(("miss", uid), self._quiet_until)
        elif kind == REFUSED or (
            not self.subjects.cut_off and (self.accused_by_other(uid) or self.others_agree(uid))
        ):
            self._tell(uid, subject, kind)
        else:
            if self.subjects.cut_off and not subject.private:
                subject.private = True
                self.alerts.say(uid, SILENT, private=True)
                self._accuse_later(uid)
            context.timers.set(("miss", uid), context.now + LOOK_AGAIN)

    def still_missing(self, uid: bytes) -> None:
        """A word that was put off is due, or others have said something new of this subject."""
        subject = self.subjects.get(uid)
        if subject is not None and subject.missing:
            self._miss(uid, subject, SILENT)

    def _found(self, uid: bytes, subject: Subject) -> None:
        subject.missing = False
        self.context.counts["alerts_held_back"] += subject.alert == HEARD
        if subject.private:
            subject.private = False
            self.alerts.say(uid, HEARD, private=True)
        self.context.timers.cancel(("miss", uid))
        self.on_missing(uid, False)

    def _tell(self, uid: bytes, subject: Subject, kind: int) -> None:
        subject.alert, subject.void, subject.private = kind, False, False
        self.alerts.say(uid, kind)
        self._accuse_later(uid)

    def _accuse_later(self, uid: bytes) -> None:
        context = self.context
        context.timers.set(("accuse", uid), context.now + context.settings.say_again)

    def accuse_again(self, uid: bytes) -> None:
        """Say again what was said against a subject, if it is still so."""
        subject, context = self.subjects.get(uid), self.context
        if subject is None or not subject.missing or subject.void:
            return
        if not subject.private and subject.alert == HEARD:
            return
        if context.now < self._quiet_until or self.subjects.fresh(subject):
            context.timers.set(("accuse", uid), context.now + context.settings.period)
            return
        private = subject.private or self.subjects.cut_off
        self.alerts.say(uid, max(subject.alert, SILENT), private=private)
        self._accuse_later(uid)

    def disown(self, alert: wire.Alert) -> None:
        """Somebody spread a word in my name."""
        subject = self.subjects.get(alert.subject)
        self.alerts.disown(alert, subject.alert if subject is not None else HEARD)

    def refuted(self, uid: bytes) -> None:
        """The subject says that it lives: it gets a new chance to be heard."""
        subject = self.subjects.get(uid)
        if subject is not None and subject.alert != HEARD:
            if subject.missing:
                self._found(uid, subject)
            subject.void = True
            subject.refused = 0
            subject.heard = self.context.now
            self.context.timers.set_earlier(
                ("watch",), self.context.now + self.context.settings.period
            )

    def hush(self, until: float) -> None:
        """Report nobody silent before this time."""
        self._quiet_until = max(self._quiet_until, until)

    def stalled(self, seconds: float) -> None:
        """This process stood still: nothing that was awaited meanwhile can be held against
        anybody."""
        context = self.context
        self.subjects.last = context.now
        self.hush(context.now + context.settings.quiet_after_stall)
        for uid, subject in self.subjects.items():
            subject.heard = max(subject.heard, context.now)
            if subject.alert == HEARD or subject.void:
                if subject.missing:
                    self._found(uid, subject)
                subject.refused = 0
            context.timers.cancel(("probe", uid))
