"""What a member answers when it is asked whether it reaches another (`inquiries` asks)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.links import Link, Links

MOST = 64
"""Members that are asked about here at the same time, and questions about each; further ones get
no answer."""


@dataclass
class Answers:
    """The one that is asked."""

    context: Context
    links: Links
    misses: Callable[[bytes], bool]
    """Whether this member misses that one already. (That it heard it lately says nothing: the
    question is whether it lives now.)"""
    look: Callable[[bytes], bool]
    """Looks: probes or dials that one. False if there is no way to it."""
    on_question: Callable[[bytes, bytes], None]
    """Told who asks, and about whom."""
    waiting: dict[bytes, list[tuple[bytes, int]]] = field(default_factory=dict)
    """Subject -> (who asks, number of the question)."""

    def on_reach(self, link: Link, message: wire.Reach) -> None:
        """Somebody asks whether I reach a member."""
        asker, uid = link.peer, message.subject
        if asker is None:
            return
        if uid == self.context.uid or self.misses(uid):
            self._answer(asker, message.number, uid == self.context.uid)
        elif not self._postpone(asker, message):
            return
        self.on_question(asker, uid)

    def _postpone(self, asker: bytes, message: wire.Reach) -> bool:
        """Answer when I have looked; False if there are too many questions."""
        uid, context = message.subject, self.context
        questions = self.waiting.get(uid, [])
        if len(questions) >= MOST or (not questions and len(self.waiting) >= MOST):
            context.counts["questions_refused"] += 1
            return False
        questions.append((asker, message.number))
        self.waiting[uid] = questions
        context.timers.set_earlier(("reach", uid), context.now + context.settings.dial_timeout)
        if len(questions) == 1 and not self.look(uid):
            self.unheard(uid)
        return True

    def heard(self, uid: bytes) -> None:
        """A frame came from a member that somebody asks about."""
        self._answer_all(uid, reached=True)

    def unheard(self, uid: bytes) -> None:
        """None came in time."""
        self._answer_all(uid, reached=False)

    def _answer_all(self, uid: bytes, *, reached: bool) -> None:
        self.context.timers.cancel(("reach", uid))
        for asker, number in self.waiting.pop(uid, ()):
            self._answer(asker, number, reached)

    def _answer(self, asker: bytes, number: int, reached: bool) -> None:
        link = self.links.of(asker)  # of two links the one that stays
        if link is not None:
            self.links.send(link, wire.Reached(number, reached))

    def stalled(self) -> None:
        """This process stood still: that nothing was heard meanwhile says nothing."""
        for uid in self.waiting:
            self.context.timers.cancel(("reach", uid))
        self.waiting.clear()
