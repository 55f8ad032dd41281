"""A mesh of memberlist members, and the network between them."""

from collections.abc import Callable
from dataclasses import dataclass

from meshcache.gossip.sim.memberlist.peer import Peer
from meshcache.gossip.sim.memberlist.settings import (
    DATAGRAM,
    INBOX,
    PER_MESSAGE,
    PUSH_PULL_ENTRY,
    SIZES,
    MemberlistSettings,
    Message,
)
from meshcache.gossip.sim.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that happened at one member."""

    when: float
    observer: int
    what: str
    """suspect, dead, rejoin, event."""
    about: int


class Memberlist(Schedule):
    """So many members, and what happens next."""

    def __init__(self, members: int, settings: MemberlistSettings, seed: int) -> None:
        """Start all members; they know each other."""
        super().__init__(seed)
        self.size, self.settings = members, settings
        self.bytes = self.messages = 0
        self.log: list[Noted] = []
        self.share_lost: Callable[[int, int], float] | None = None
        """The share of datagrams from one member to another that is lost, beside `loss`."""
        self.members = [Peer(self, self, members, index) for index in range(members)]

    def note(self, observer: int, what: str, about: int) -> None:
        """Something happened at a member."""
        self.log.append(Noted(self.now, observer, what, about))

    def _lost(self, source: int, target: int) -> float:
        return self.share_lost(source, target) if self.share_lost is not None else 0.0

    def send(self, source: int, target: int, parts: list[Message], tcp: bool = False) -> None:
        """Send a datagram of some messages."""
        sender = self.members[source]
        if not sender.up:
            return
        if sender.blocked:
            sender.outbox.append((target, parts, tcp))
            return
        self.messages += 1
        self.bytes += DATAGRAM + sum(SIZES[part[0]] + PER_MESSAGE for part in parts)
        if not tcp and self.settings.loss and self.random.random() < self.settings.loss:
            return
        if self.share_lost is not None and self.random.random() < self._lost(source, target):
            return
        delay = self.random.uniform(*self.settings.latency)
        self.after(delay, self._deliver, source, target, parts, tcp)

    def _deliver(self, source: int, target: int, parts: list[Message], tcp: bool) -> None:
        receiver = self.members[target]
        if not receiver.up:
            return
        if receiver.blocked:
            if len(receiver.inbox) < INBOX:
                receiver.inbox.append((source, parts, tcp))
            return
        for part in parts:
            receiver.handle(source, part, tcp)

    def push_pull(self, one: Peer, index: int) -> None:
        """Let a member exchange all it holds with another, over TCP."""
        other = self.members[index]
        lost = max(self._lost(one.index, index), self._lost(index, one.index))
        if not other.up or one.blocked or other.blocked or (lost and self.random.random() < lost):
            return
        ours, theirs = one.table(), other.table()
        one.merge(theirs)
        other.merge(ours)
        self.bytes += 2 * self.size * PUSH_PULL_ENTRY

    def block(self, index: int) -> None:
        """The member stands still: each of its goroutines stops at its next send or receive."""
        self.members[index].blocked = True

    def unblock(self, index: int) -> None:
        """It goes on: what was held is sent, what came is handled."""
        member = self.members[index]
        member.blocked = False
        outbox, member.outbox = member.outbox, []
        inbox, member.inbox = member.inbox, []
        member.detector.wake()
        for target, parts, tcp in outbox:
            self.send(index, target, parts, tcp)
        for source, parts, tcp in inbox:
            for part in parts:
                member.handle(source, part, tcp)
