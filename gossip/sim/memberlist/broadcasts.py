"""memberlist's queue of broadcasts (queue.go): what rides on datagrams, and how often."""

import math
from dataclasses import dataclass

from meshcache.gossip.sim.memberlist.settings import (
    PER_MESSAGE,
    SIZES,
    MemberlistSettings,
    Message,
)


@dataclass(slots=True)
class _Queued:
    sent: int
    order: int
    message: Message


class Broadcasts:
    """What one member has to tell, one message for each subject."""

    def __init__(self, settings: MemberlistSettings, members: int) -> None:
        """Send each as often as a mesh of so many needs."""
        self._limit = settings.retransmit_mult * math.ceil(math.log10(members + 1))
        self._queue: dict[object, _Queued] = {}
        self._made = 0

    def __bool__(self) -> bool:
        return bool(self._queue)

    def add(self, subject: object, message: Message) -> None:
        """Tell this, in place of what was to be told of the subject."""
        self._made += 1
        self._queue[subject] = _Queued(0, -self._made, message)

    def take(self, room: int) -> list[Message]:
        """What fits: the least often sent first, among those the newest."""
        if not self._queue:
            return []
        taken: list[Message] = []
        waiting = sorted(self._queue.items(), key=lambda item: (item[1].sent, item[1].order))
        for subject, entry in waiting:
            size = SIZES[entry.message[0]] + PER_MESSAGE
            if size > room:
                continue
            room -= size
            taken.append(entry.message)
            entry.sent += 1
            if entry.sent >= self._limit:
                del self._queue[subject]
            if room < 60:
                break
        return taken
