"""Rumours that wait or are remembered: what each is about, what goes first, what goes overboard."""

from meshcache.gossip import wire
from meshcache.gossip.core.verdicts import REFUSED

Key = tuple[object, ...]
PAST = 270.0
"""For so long the name of a user's event is known after its bytes are dropped, lest a member that
got it late gives it to everybody once more."""
MOST_PAST = 10_000
_URGENCY = {
    wire.Dead: 0,
    wire.Gone: 0,
    wire.Alert: 0,
    wire.Alive: 0,
    wire.Written: 1,
    wire.Happened: 2,
}


def key_of(rumour: wire.Rumour) -> Key:
    """What a rumour is about, headed by its urgency: a newer one of the same key replaces it."""
    urgency = _URGENCY[type(rumour)]
    match rumour:
        case wire.Alive(record=record):
            return urgency, "alive", record.uid
        case wire.Dead(uid=uid) | wire.Gone(uid=uid):
            return urgency, "end", uid
        case wire.Alert(subject=subject, observer=observer, kind=kind):
            return urgency, "refused" if kind == REFUSED else "alert", subject, observer
        case wire.Written(entry=entry):
            return urgency, "entry", entry.space, entry.key
        case wire.Happened(origin=origin, number=number):
            return urgency, "event", origin, number


class Events:
    """The names of users' events: for anti-entropy, and so that each is told once."""

    def __init__(self) -> None:
        self.recent: dict[bytes, None] = {}
        """Those that can still be given to others."""
        self.past: dict[bytes, float] = {}
        """Those that cannot, and until when their names are kept."""
        self._total = 0

    @property
    def total(self) -> bytes:
        """8 B over the recent ones."""
        return self._total.to_bytes(8, "big")

    def add(self, name: bytes) -> None:
        """An event came."""
        self.recent[name] = None
        self._total ^= int.from_bytes(name, "big")

    def outlive(self, name: bytes, now: float) -> None:
        """An event's bytes are dropped."""
        if name in self.recent:
            del self.recent[name]
            self._total ^= int.from_bytes(name, "big")
        self.past[name] = now + PAST
        while len(self.past) > MOST_PAST or next(iter(self.past.values())) < now:
            del self.past[next(iter(self.past))]


class Queue:
    """What waits for one link."""

    def __init__(self, limit: int) -> None:
        """Hold at most `limit` bytes."""
        self._limit = limit
        self._waiting: dict[Key, bytes] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, key: Key, raw: bytes) -> int:
        """Add a rumour; how many had to be dropped for it."""
        self.size += len(raw) - len(self._waiting.pop(key, b""))
        self._waiting[key] = raw
        dropped = 0
        while self.size > self._limit and len(self._waiting) > 1:
            least = max(key[0] for key in self._waiting)  # type: ignore[type-var]
            oldest = next(key for key in self._waiting if key[0] == least)
            self.size -= len(self._waiting.pop(oldest))
            dropped += 1
        return dropped

    def take(self) -> list[bytes]:
        """Everything, the most urgent first, each urgency in order of coming."""
        waiting, self._waiting, self.size = self._waiting, {}, 0
        return [raw for _, raw in sorted(waiting.items(), key=lambda item: item[0][:1])]
