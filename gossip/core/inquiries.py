"""Asking those who would know, before an observer tells the mesh that it misses its subject.

A word to all costs all. Where segments are lost somebody is silent for a second somewhere all the
time, and if each such word went to everybody a mesh of N members would pay N^2. So a first doubt
stays among the observers of the member, who know one another from the rings: each that misses it
asks the others whether they reach it, over links that are dialled for it. The mesh is told once a
majority of them misses it; or if none of them reaches it, at least one misses it too, and the rest
cannot be dialled or do not answer in time.

Where none answers, it may be the asker that is cut off. Then up to three of those that it hears,
drawn at random, answer in their place (arbiters): it speaks unless one of them reaches the subject.
So no one member can start a storm, and those on the small side of a cut still come to see whom they
have lost.

Who asks misses the subject: a question is an answer as well. What a member says here counts for
nothing in `verdicts`; it only keeps words from being said to all that would change nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.verdicts import majority

ARBITERS = 3


@dataclass(slots=True)
class Inquiry:
    """What is asked about one member."""

    number: int
    until: float
    """Answers are awaited until then."""
    answers: dict[bytes, bool | None]
    """Who is asked -> whether it reaches the subject, None as long as it has not said so."""
    arbiters: bool = False
    """Whether these are not the subject's observers, of whom none has answered."""
    sent: set[bytes] = field(default_factory=set)
    """Who got the question, over a link that is still open."""
    absent: set[bytes] = field(default_factory=set)
    """Who could not be dialled, or is missing itself: its answer is not awaited, unless somebody
    reaches the subject, so that it counts."""

    @property
    def waits(self) -> set[bytes]:
        """Whose answers are awaited."""
        return {one for one, answer in self.answers.items() if answer is None} - self.absent

    def agrees(self, *, late: bool) -> bool | None:
        """Whether those asked miss the subject too; None if that is not to be said yet, or (`late`:
        no longer than now is waited) if nobody has answered."""
        answers = list(self.answers.values())
        missing, reached = answers.count(False), True in answers
        wait = not late and bool(self.waits)
        if self.arbiters:
            return not reached if reached or not wait else None
        if 1 + missing >= majority(1 + len(answers)):
            return True
        if wait:
            return None
        return False if reached else (True if missing else None)


@dataclass
class Inquiries:
    """All that one observer asks."""

    context: Context
    links: Links
    observers_of: Callable[[bytes], Iterable[bytes]]
    """The other observers of a member that are to be asked."""
    misses: Callable[[bytes], bool]
    """Whether a member is missed, so that no answer of it can be awaited."""
    heard: Callable[[], Iterable[bytes]]
    """Members that are heard just now."""
    on_answer: Callable[[bytes], None]
    """Told the subject when somebody has said something new of it."""
    open: dict[bytes, Inquiry] = field(default_factory=dict)
    _numbers: int = 0

    def agree(self, uid: bytes) -> bool:
        """Whether those who would know miss `uid` too; asks them if that is not done yet. To be
        called again while the subject is missing."""
        now, settings = self.context.now, self.context.settings
        inquiry = self.open.get(uid)
        if inquiry is None or inquiry.until + settings.period < now:
            inquiry = self._begin(uid, dict.fromkeys(self.observers_of(uid)))
        inquiry.absent.update(peer for peer in inquiry.waits if self.misses(peer))
        late = inquiry.until <= now
        agreed = inquiry.agrees(late=late)
        if agreed is None and (late or not inquiry.waits):
            inquiry = self._begin(uid, dict.fromkeys(self._arbiters(uid)), arbiters=True)
            agreed = inquiry.agrees(late=False)
        if agreed is None:
            self._press(uid, inquiry)
        return bool(agreed)

    def _begin(
        self, uid: bytes, answers: dict[bytes, bool | None], *, arbiters: bool = False
    ) -> Inquiry:
        self._numbers += 1
        self.context.counts["arbiters_asked" if arbiters else "observers_asked"] += len(answers)
        until = self.context.now + self.context.settings.confer
        inquiry = self.open[uid] = Inquiry(self._numbers, until, answers, arbiters)
        return inquiry

    def _arbiters(self, uid: bytes) -> list[bytes]:
        able = [
            peer
            for peer in self.heard()
            if peer != uid
            and (link := self.links.of(peer)) is not None
            and link.features & wire.ARBITERS
        ]
        return self.context.rng.sample(sorted(able), min(ARBITERS, len(able)))

    def _press(self, uid: bytes, inquiry: Inquiry) -> None:
        """Send the question to those who have not got it, or dial them."""
        for peer in sorted(inquiry.waits - inquiry.sent):  # sorted: a run is to be repeatable
            if self.links.of(peer) is None:
                self.links.urge(peer)
            self._send(uid, inquiry, peer)

    def _send(self, uid: bytes, inquiry: Inquiry, peer: bytes) -> None:
        link = self.links.of(peer)
        if link is not None:
            inquiry.sent.add(peer)
            self.links.send(link, wire.Reach(inquiry.number, uid))

    def close(self, uid: bytes) -> None:
        """The subject is heard again, is accused before all, or is no subject any more."""
        self.open.pop(uid, None)

    # --- what happens meanwhile

    def linked(self, peer: bytes) -> None:
        """A link to `peer` is open."""
        for uid, inquiry in self.open.items():
            if inquiry.answers.get(peer, True) is None and peer not in inquiry.sent:
                self._send(uid, inquiry, peer)

    def link_lost(self, peer: bytes) -> None:
        """No link to `peer` is open any more: its answer will not come."""
        for inquiry in self.open.values():
            inquiry.sent.discard(peer)

    def refused(self, peer: bytes) -> None:
        """Nobody listens at the address of `peer`: it has no word."""
        for uid, inquiry in list(self.open.items()):
            if inquiry.answers.get(peer, True) is None:
                del inquiry.answers[peer]
                self.on_answer(uid)

    def unreachable(self, peer: bytes) -> None:
        """A dial of `peer` came to nothing."""
        for uid, inquiry in list(self.open.items()):
            waits = peer in inquiry.waits and peer not in inquiry.sent
            if waits and True not in inquiry.answers.values():
                inquiry.absent.add(peer)
                self.on_answer(uid)

    def on_reached(self, link: Link, message: wire.Reached) -> None:
        """Somebody answered."""
        for uid, inquiry in self.open.items():
            if inquiry.number == message.number:
                self._answered(uid, link.peer, message.reached)
                return

    def asked(self, peer: bytes, uid: bytes) -> None:
        """`peer` asks the same, so it misses the subject as well."""
        self._answered(uid, peer, False)

    def _answered(self, uid: bytes, peer: bytes | None, reached: bool) -> None:
        inquiry = self.open.get(uid)
        if inquiry is not None and peer is not None and peer in inquiry.answers:
            inquiry.answers[peer] = reached
            if reached:
                inquiry.absent.clear()
            self.on_answer(uid)
