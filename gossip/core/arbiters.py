"""Asking others before raising a further alarm.

An observer that has as many alerts open as it may (`Settings.open_alerts`) is more likely cut off
itself than right about so many. Before a further one it asks up to three members, drawn at random
from its neighbours, whether they reach the subject: it speaks if some answer and none of them does.
So no one member can start a storm, and many real deaths are still told.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.links import Link, Links

ARBITERS = 3
LASTS = 5.0
"""How long an answer counts."""
MOST = 64
"""Members that are asked about here at the same time; further questions get no answer."""


@dataclass(slots=True)
class _Inquiry:
    number: int
    until: float
    asked: set[bytes]
    answers: dict[bytes, bool] = field(default_factory=dict)


@dataclass
class Arbiters:
    """Both sides of it, in one node."""

    context: Context
    links: Links
    is_accused: Callable[[bytes], bool]
    last_heard: Callable[[bytes], float]
    """When a member was heard last, so far as that is known here."""
    probe: Callable[[Link], object]
    inquiries: dict[bytes, _Inquiry] = field(default_factory=dict)
    """What this member asks, by subject."""
    waiting: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)
    """What this member is asked: subject -> (number of the link, of the question)."""
    _numbers: int = 0

    # --- who asks

    def agree(self, uid: bytes) -> bool:
        """Whether those that were asked do not reach `uid` either; asks if nobody was."""
        inquiry = self.inquiries.get(uid)
        if inquiry is None or inquiry.until < self.context.now:
            self._ask(uid)
            return False
        if len(inquiry.answers) < len(inquiry.asked):
            return False
        return bool(inquiry.answers) and not any(inquiry.answers.values())

    def _ask(self, uid: bytes) -> None:
        now = self.context.now
        for old in [one for one, inquiry in self.inquiries.items() if inquiry.until < now]:
            del self.inquiries[old]
        able = [
            link
            for link in self.links.open()
            if link.features & wire.ARBITERS
            and link.peer not in (None, uid)
            and not self.is_accused(link.peer or b"")
        ]
        able.sort(key=lambda link: link.number)
        chosen = self.context.rng.sample(able, min(ARBITERS, len(able)))
        self._numbers += 1
        asked = {link.peer for link in chosen if link.peer is not None}
        self.inquiries[uid] = _Inquiry(self._numbers, now + LASTS, asked)
        self.context.counts["arbiters_asked"] += len(chosen)
        for link in chosen:
            self.links.send(link, wire.Reach(self._numbers, uid))

    def on_reached(self, link: Link, message: wire.Reached) -> None:
        """An arbiter answered."""
        for inquiry in self.inquiries.values():
            if inquiry.number == message.number and link.peer in inquiry.asked:
                inquiry.answers[link.peer] = message.reached

    # --- who is asked

    def on_reach(self, link: Link, message: wire.Reach) -> None:
        """Somebody asks whether I reach a member."""
        uid, now = message.subject, self.context.now
        if uid == self.context.uid or self.last_heard(uid) > now - self.context.settings.period:
            self.links.send(link, wire.Reached(message.number, True))
            return
        there = self.links.of(uid) or self.links.urge(uid)
        if there is None:
            self.links.send(link, wire.Reached(message.number, False))
            return
        questions = self.waiting.setdefault(uid, [])
        if len(self.waiting) > MOST or len(questions) >= MOST:
            if not questions:
                del self.waiting[uid]
            self.context.counts["questions_refused"] += 1
            return
        questions.append((link.number, message.number))
        self.context.timers.set_earlier(("reach", uid), now + self.context.settings.dial_timeout)
        if there.peer is not None:
            self.probe(there)

    def heard(self, uid: bytes) -> None:
        """A frame came from a member that somebody asks about."""
        self._answer(uid, reached=True)

    def unheard(self, uid: bytes) -> None:
        """None came in time."""
        self._answer(uid, reached=False)

    def _answer(self, uid: bytes, *, reached: bool) -> None:
        self.context.timers.cancel(("reach", uid))
        for number, question in self.waiting.pop(uid, ()):
            link = self.links.by_number.get(number)
            if link is not None and link.peer is not None:
                self.links.send(link, wire.Reached(question, reached))
