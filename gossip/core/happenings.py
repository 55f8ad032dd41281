"""Events and queries: what users of the mesh say to each other.

An event floods as any rumour and comes to each member once, also if a late frame brings it again.
A query floods as well; its acknowledgements and answers go back the way on which the question first
came, hop by hop over links that are open, so that a thousand answers open no connection. With
anti-entropy members remind each other of the last seconds' events; who was cut off for longer
misses them (state belongs into the map).
"""

from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.bucket import Bucket
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.events import QueryAsked, QueryReply, UserEvent
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.spread import Spread

REMEMBER = 60.0
MOST = 10_000
QUESTIONS = 100
"""Queries a second that a member answers."""
Question = tuple[bytes, int]


@dataclass
class Happenings:
    """Events and queries of one node."""

    context: Context
    links: Links
    spread: Spread
    _number: int = 0
    _questions: Bucket = field(default_factory=lambda: Bucket(rate=QUESTIONS, burst=2 * QUESTIONS))
    _ways_back: dict[Question, tuple[int, float]] = field(default_factory=dict)
    """Question -> (number of the link on which it came, until when it is remembered)."""

    def say(self, name: str, payload: bytes, *, query: bool, to: list[bytes], acks: bool) -> int:
        """Send an event or a query; the number tells the answers apart."""
        self._number += 1
        self.spread.publish(
            wire.Happened(self.context.uid, self._number, name, payload, query, to, acks)
        )
        return self._number

    def hear(self, word: wire.Happened, link: Link) -> bool:
        """An event or a query came (for the first time: `spread` knows it again)."""
        if word.origin == self.context.uid:
            return False
        origin = word.origin.hex()
        if not word.query:
            self.context.emit(UserEvent(origin, word.name, word.payload))
            return True
        if not self._questions.take(self.context.now):
            self.context.counts["queries_refused"] += 1
            return True  # each brings answers from everybody: not too many are heard
        question = (word.origin, word.number)
        self._forget()
        self._ways_back[question] = (link.number, self.context.now + REMEMBER)
        if not word.to or self.context.uid in word.to:
            if word.acks:
                self.answer(word.origin, word.number, None)
            self.context.emit(QueryAsked(origin, word.number, word.name, word.payload))
        return True

    def _forget(self) -> None:
        while self._ways_back:
            oldest = next(iter(self._ways_back))
            if len(self._ways_back) < MOST and self._ways_back[oldest][1] > self.context.now:
                return
            del self._ways_back[oldest]

    def answer(self, asker: bytes, number: int, payload: bytes | None) -> bool:
        """Answer a query; False if it is forgotten or the way back is lost."""
        return self.pass_back(wire.Reply(asker, number, self.context.uid, payload))

    def pass_back(self, reply: wire.Reply) -> bool:
        """An answer is for me, or goes one hop further towards who asked."""
        if reply.asker == self.context.uid:
            if reply.number > self._number:  # nothing like that was asked
                self.context.counts["hostile"] += 1
                return False
            member = reply.member.hex()
            self.context.emit(QueryReply(reply.number, member, reply.payload))
            return True
        link = self.links.of(reply.asker)
        if link is None:
            number, _ = self._ways_back.get((reply.asker, reply.number), (0, 0.0))
            link = self.links.by_number.get(number)
        if link is None or link.peer is None:
            self.context.counts["replies_lost"] += 1
            return False
        self.links.send(link, reply)
        return True
