"""Observing: beats to my observers, and an eye on my subjects.

Each member sends a beat to its observers once in a period; any frame from a subject counts as
one. (SWIM and Rapid ping and wait for the answer; over links that stay open a one-way beat tells
the same with half the packets.) A subject whose beat is overdue is probed; no answer in time is an
alert of kind silent. A link that is closed is dialled again at once; a dial that is refused, twice
150 ms apart, is an alert of kind refused. Whoever hears of another's alert about its own subject
probes that at once.

Who joined a moment ago is in nobody's rings yet. If it dies, those that it had linked to are its
witnesses: they say what they saw, which counts for nothing but makes its observers look at once.

A member first doubts itself: after it was woken late it reports nobody silent for a second, and
when half of its subjects are missing at once it waits for another observer's word or for `doubt`
seconds.
(A refusal is no matter of time, so neither holds it back.)
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from meshcache.gossip import wire
from meshcache.gossip.core.arbiters import Arbiters
from meshcache.gossip.core.bucket import Bucket
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.events import Why
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.rings import Rings
from meshcache.gossip.core.verdicts import HEARD, REFUSED, SILENT

REFUSED_AGAIN = 0.15
"""Between the two refusals: a listener that is only being replaced is back after that."""
HANG_UPS = 3
"""Dials that are accepted and then hung up, in a row, before that is held for silence: a process
that dies in the middle of a handshake looks like this once."""
WITNESSED = 64
MOST_NUMBERS = 2**32 - 1


@dataclass(slots=True)
class Subject:
    """One member that this one observes."""

    heard: float
    missing: bool = False
    """Did not answer a probe in time, or could not be reached."""
    refused: int = 0
    hung_up: int = 0
    alert: int = HEARD
    """What this member has told the mesh."""
    void: bool = False
    """The subject has refuted since: a further miss is told again, with its new incarnation."""


@dataclass
class Watch:
    """The observer in one node."""

    context: Context
    links: Links
    accused_by_other: Callable[[bytes], bool]
    """Whether another observer's alert stands against this member."""
    arbiters: Arbiters
    incarnation_of: Callable[[bytes], int]
    publish: Callable[[wire.Alert], None]
    subjects: dict[bytes, Subject] = field(default_factory=dict)
    observers: tuple[bytes, ...] = ()
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=32))
    _quiet_until: float = 0.0
    _witnessed: dict[bytes, int] = field(default_factory=dict)
    """Newcomers whose link closed, and how often they were refused since."""
    _denials: Bucket = field(default_factory=lambda: Bucket(rate=10, burst=20))
    _numbers: int = 0
    _probes: dict[int, tuple[bytes, float]] = field(default_factory=dict)

    def new_view(self, rings: Rings) -> None:
        """The rings changed: who observes whom is new."""
        context = self.context
        self.observers = rings.observers(context.uid)
        subjects = rings.subjects(context.uid)
        for uid in sorted(self.subjects.keys() - subjects):
            del self.subjects[uid]
            context.timers.cancel(("probe", uid))
        for uid in sorted(subjects - self.subjects.keys()):  # sorted: a run is to be repeatable
            self.subjects[uid] = Subject(context.now + context.settings.newcomer_grace)
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
        subject = self.subjects.get(uid)
        if subject is None:
            if self._witnessed:
                self._witnessed.pop(uid, None)
            return
        subject.heard = self.context.now  # a newcomer's grace ends with its first frame
        subject.refused = subject.hung_up = 0
        if subject.missing:
            subject.missing = False
            self.context.timers.cancel(("probe", uid))
        if subject.alert != HEARD:
            self._tell(uid, subject, HEARD)

    def last_heard(self, uid: bytes) -> float:
        """When a frame of this subject came last; a time long ago if it is none or is missing."""
        subject = self.subjects.get(uid)
        if subject is None or subject.missing or subject.heard > self.context.now:
            return -inf
        return subject.heard

    # --- looking

    def look(self) -> None:
        """Probe the subjects that are overdue; sets its own timer."""
        now, settings = self.context.now, self.context.settings
        late = settings.period + settings.grace
        again = now + late
        for uid, subject in self.subjects.items():
            due = subject.heard + late
            if due <= now + 0.001:
                if self.context.timers.due(("probe", uid)) is None:
                    self.probe(uid)
            else:
                again = min(again, due)
        self.context.timers.set(("watch",), again)

    def probe(self, uid: bytes) -> None:
        """Ask a subject for an answer, or dial it if there is no link."""
        settings = self.context.settings
        link = self.links.of(uid)
        if link is not None:
            self.ask(link)
        else:
            self.links.urge(uid)
        wait = self._patience() if link is not None else settings.dial_timeout
        self.context.timers.set(("probe", uid), self.context.now + wait)

    def _patience(self) -> float:
        """How long an answer may take: four times the slowest of the last round trips, which on a
        lossy network hold retransmissions, but at least the set time and at most its double."""
        least = self.context.settings.probe_timeout
        return min(max(least, 4 * max(self._recent, default=0.0)), 2 * least)

    def ask(self, link: Link) -> int:
        """Send a probe; its number comes back in the answer."""
        self._numbers += 1
        if link.peer is not None:
            self._probes[self._numbers] = (link.peer, self.context.now)
            if len(self._probes) > 256:
                del self._probes[next(iter(self._probes))]
        self.links.send(link, wire.Probe(self._numbers))
        return self._numbers

    def answered(self, link: Link, number: int) -> bool:
        """A probe's answer came; False if it was none of this member's."""
        asked = self._probes.get(number)
        if asked is None or asked[0] != link.peer:
            return False
        del self._probes[number]
        link.round_trip = self.context.now - asked[1]
        self._recent.append(link.round_trip)
        return True

    def unanswered(self, uid: bytes) -> None:
        """A probe's time is over."""
        subject = self.subjects.get(uid)
        if subject is None:
            return
        settings = self.context.settings
        if subject.heard + settings.period + settings.grace > self.context.now:
            return
        self._miss(uid, subject, SILENT)
        self.context.timers.set(("probe-again", uid), self.context.now + settings.period)

    def probe_again(self, uid: bytes) -> None:
        """Keep trying a subject that is missing: it may come back."""
        subject = self.subjects.get(uid)
        if subject is not None and subject.missing:
            self.probe(uid)

    def redial(self, uid: bytes) -> None:
        """The second try after a refusal."""
        if (uid in self.subjects or uid in self._witnessed) and self.links.of(uid) is None:
            self.links.urge(uid)

    def link_lost(self, uid: bytes, *, newcomer: bool) -> None:
        """The last link to `uid` was closed by the other side's kernel."""
        if uid in self.subjects:
            self.links.urge(uid)
        elif newcomer and len(self._witnessed) < WITNESSED:
            self._witnessed[uid] = 0
            self.links.urge(uid)

    def hung_up(self, uid: bytes) -> None:
        """A dial of `uid` was taken and ended before a word was said."""
        subject = self.subjects.get(uid)
        if subject is None:
            self._witnessed.pop(uid, None)
            return
        subject.hung_up += 1
        if subject.hung_up > HANG_UPS:
            self._miss(uid, subject, SILENT)
        else:
            self.context.timers.set(("redial", uid), self.context.now + REFUSED_AGAIN)

    def _witness(self, uid: bytes, why: Why) -> None:
        refused = self._witnessed.pop(uid, None)
        if refused is None or why is not Why.REFUSED:
            return
        if refused == 0:
            self._witnessed[uid] = 1
            self.context.timers.set(("redial", uid), self.context.now + REFUSED_AGAIN)
        else:
            self._say(uid, REFUSED)

    def dial_failed(self, uid: bytes, why: Why) -> None:
        """Nobody (of ours) answers at the address of `uid`."""
        subject = self.subjects.get(uid)
        if subject is None:
            self._witness(uid, why)
            return
        if why is Why.REFUSED:
            subject.refused += 1
            if subject.refused < 2:
                self.context.timers.set(("redial", uid), self.context.now + REFUSED_AGAIN)
            else:
                self._miss(uid, subject, REFUSED)
        else:
            self._miss(uid, subject, SILENT)

    def alerted(self, uid: bytes) -> None:
        """Another observer of my subject misses it."""
        subject = self.subjects.get(uid)
        if subject is None or uid == self.context.uid:
            return
        settings = self.context.settings
        self.context.timers.set_earlier(("vouch", uid), self.context.now + settings.vouch)
        if subject.missing:
            self._miss(uid, subject, SILENT)
        elif self.context.timers.due(("probe", uid)) is None:
            subject.heard = min(subject.heard, self.context.now - settings.period)
            self.probe(uid)

    def vouch(self, uid: bytes) -> None:
        """Say that I hear a subject that others still accuse."""
        subject = self.subjects.get(uid)
        if subject is None or not self.accused_by_other(uid):
            return
        settings = self.context.settings
        hears = subject.heard + settings.period + settings.grace > self.context.now
        if hears and not subject.missing:
            self._say(uid, HEARD)
        again = settings.vouch_again if hears else settings.vouch
        self.context.timers.set(("vouch", uid), self.context.now + again)

    # --- telling

    def _miss(self, uid: bytes, subject: Subject, kind: int) -> None:
        context, settings = self.context, self.context.settings
        subject.missing = True
        if subject.alert >= kind and not subject.void:
            return
        if kind == SILENT and context.now < self._quiet_until:
            context.timers.set(("miss", uid, kind), self._quiet_until)
            return
        if kind == SILENT and self._in_doubt(uid, subject):
            context.timers.set_earlier(("miss", uid, kind), context.now + 0.1)
            return
        standing = sum(one.alert != HEARD for one in self.subjects.values())
        if (
            subject.alert == HEARD
            and standing >= settings.open_alerts
            and not self.arbiters.agree(uid)
        ):
            context.counts["alerts_held_back"] += 1
            context.timers.set(("miss", uid, kind), context.now + settings.period)
            return
        self._tell(uid, subject, kind)

    def still_missing(self, uid: bytes, kind: int) -> None:
        """An alert that was put off is due."""
        subject = self.subjects.get(uid)
        if subject is not None and subject.missing:
            self._miss(uid, subject, kind)

    @property
    def deaf(self) -> bool:
        """Whether half of my subjects are missing at once: more likely it is I who do not hear."""
        total = len(self.subjects)
        missing = sum(one.missing for one in self.subjects.values())
        return total >= 3 and missing >= 2 and 2 * missing >= total

    def _in_doubt(self, uid: bytes, subject: Subject) -> bool:
        if not self.deaf or self.accused_by_other(uid):
            return False
        settings = self.context.settings
        patience = settings.period + settings.grace + settings.probe_timeout + settings.doubt
        return self.context.now < subject.heard + patience

    def _tell(self, uid: bytes, subject: Subject, kind: int) -> None:
        subject.alert, subject.void = kind, False
        self._say(uid, kind)

    def _say(self, uid: bytes, kind: int) -> None:
        self._numbers += 1
        self.context.counts["alerts"] += kind != HEARD
        self.publish(
            wire.Alert(uid, self.incarnation_of(uid), self.context.uid, self._numbers, kind)
        )

    def disown(self, alert: wire.Alert) -> None:
        """Somebody spread a word in my name: if I did not say it, I say what is so."""
        subject = self.subjects.get(alert.subject)
        mine = subject.alert if subject is not None else HEARD
        if alert.number <= self._numbers or alert.kind == mine:
            return
        self.context.counts["hostile"] += 1
        self._numbers = alert.number
        if self._denials.take(self.context.now) and self._numbers < MOST_NUMBERS:
            self._say(alert.subject, mine)

    def refuted(self, uid: bytes) -> None:
        """The subject says that it lives: it gets a new chance to be heard."""
        subject = self.subjects.get(uid)
        if subject is not None and subject.alert != HEARD:
            subject.void = True
            subject.missing = False
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
        context, settings = self.context, self.context.settings
        self.hush(context.now + settings.quiet_after_stall)
        for uid, subject in self.subjects.items():
            subject.heard = max(subject.heard, context.now)
            if subject.alert == HEARD or subject.void:
                subject.missing = False
                subject.refused = 0
            context.timers.cancel(("probe", uid))
        context.timers.delay("miss", seconds)
