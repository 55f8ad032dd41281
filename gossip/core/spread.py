"""Spreading rumours: an epidemic broadcast tree over the open links.

Two exceptions. Words of an end (a refused connection, a death, a leave) are few and small and flood
over all links of the overlay: the tree may have lost the very member that they are about. (Silence
does not: on a bad network many are silent for a second.) And a link
that neither end wants to keep carries names only: the tree must not hang on it.

What waits for a link that cannot take more is bounded: of two rumours about the same thing the
newer stays, and beyond the limit the oldest of the least urgent is dropped (membership goes before
state, state before events). Anti-entropy repairs what was dropped.

Plumtree (Leitão, Pereira, Rodrigues 2007): a rumour goes whole over eager links and by name over
lazy ones. A link that brought only what was known already becomes lazy (prune), one that names
what is missing becomes eager (graft): the eager links turn into a spanning tree, and the lazy ones
mend it. A rumour's name is a hash of its bytes, so what several members conclude on their own and
say in the same bytes is one rumour.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.rumours import Events, Key, Queue, key_of
from meshcache.gossip.errors import FrameInvalid

NAMED = 4096
"""Rumours that one link may have named and not brought."""
_FLOODED = frozenset({"end", "refused"})


@dataclass
class Spread:
    """The tree, seen from one node."""

    context: Context
    links: Links
    handle: Callable[[wire.Rumour, Link], bool]
    """Takes a rumour in; True if it was news, which is passed on."""
    keeps: Callable[[bytes], bool]
    """Whether the link to this peer is there to stay."""
    relay: bool = True
    """A leaf passes nothing on."""
    read: Callable[[bytes], wire.Rumour] = wire.decode_rumour
    """Reads a rumour. (A simulation lets all its members share what was read once.)"""
    _known: dict[bytes, tuple[bytes, float, Key]] = field(default_factory=dict)
    """Name -> (bytes, when it came, what it is about); in order of coming."""
    _known_bytes: int = 0
    events: Events = field(default_factory=Events)
    """Users' events among those, and the names of earlier ones."""
    _lazy: set[int] = field(default_factory=set)
    _grafted: set[int] = field(default_factory=set)
    """Links over which the peer has asked for something lately."""
    _last_words: bool = False
    _eager_queue: dict[int, Queue] = field(default_factory=dict)
    _lazy_queue: dict[int, list[bytes]] = field(default_factory=dict)
    _named_by: dict[bytes, list[int]] = field(default_factory=dict)
    """Name of a rumour that has not come -> links that named it."""
    _named: Counter[int] = field(default_factory=Counter)
    """How many of those each link has named."""
    _busy: set[int] = field(default_factory=set)
    """Links whose transport cannot take more now."""

    @property
    def queues(self) -> list[Queue]:
        """What waits, for each link that something waits for."""
        return list(self._eager_queue.values())

    def publish(self, rumour: wire.Rumour) -> None:
        """Spread a rumour of my own."""
        raw = wire.encode_rumour(rumour)
        name = wire.rumour_id(raw)
        if name not in self._known:
            self._remember(name, raw, key_of(rumour))
            self._pass_on(name, raw, None)

    def tell(self, link: Link, rumour: wire.Rumour) -> None:
        """Give a rumour to one peer only."""
        self._queue(link.number, key_of(rumour), wire.encode_rumour(rumour))

    def _queue(self, number: int, key: Key, raw: bytes) -> None:
        if not self.links.guests.may_hear(number, key):
            return
        queue = self._eager_queue.get(number)
        if queue is None:
            queue = self._eager_queue[number] = Queue(self.context.settings.queue_bytes)
        dropped = queue.put(key, raw)
        if dropped:
            self.context.counts["queue_dropped"] += dropped

    def _remember(self, name: bytes, raw: bytes, key: Key) -> None:
        self._known[name] = (raw, self.context.now, key)
        self._known_bytes += len(raw)
        if key[1] == "event":
            self.events.add(name)
        for number in self._named_by.pop(name, ()):
            self._unname(number)
        self.context.timers.cancel(("graft", name))
        oldest = self.context.now - self.context.settings.remember
        while self._known_bytes > self.context.settings.remember_bytes or (
            self._known and next(iter(self._known.values()))[1] < oldest
        ):
            old = next(iter(self._known))
            old_raw, _, old_key = self._known.pop(old)
            self._known_bytes -= len(old_raw)
            if old_key[1] == "event":
                self.events.outlive(old, self.context.now)

    def _pass_on(self, name: bytes, raw: bytes, source: int | None) -> None:
        key = self._known[name][2]
        lazy: list[int] = []
        for link in self.links.open():
            if link.number == source or not self.links.guests.may_hear(link.number, key):
                continue
            if self._is_lazy(link, key):
                lazy.append(link.number)
            else:
                self._queue(link.number, key, raw)
        if lazy:
            settings = self.context.settings
            if len(lazy) > settings.lazy_links:
                lazy = self.context.rng.sample(lazy, settings.lazy_links)
            for number in lazy:
                self._lazy_queue.setdefault(number, []).append(name)
            self.context.timers.set_earlier(("ihave",), self.context.now + settings.lazy_delay)

    def _is_lazy(self, link: Link, key: Key) -> bool:
        if self._last_words:
            return False
        assert link.peer is not None
        if not self.keeps(link.peer) and link.number not in self._grafted:
            return True
        return link.number in self._lazy and key[1] not in _FLOODED

    # --- from others

    def on_rumours(self, link: Link, message: wire.Rumours) -> None:
        """Rumours came whole."""
        fresh = known = 0
        for item in message.items:
            raw = bytes(item)
            name = wire.rumour_id(raw)
            if name in self._known:
                known += self._known[name][2][1] not in _FLOODED
                self.context.counts["rumours_known"] += 1
                continue
            if name in self.events.past:
                continue
            try:
                rumour = self.read(raw)
            except FrameInvalid:
                self.context.counts["malformed"] += 1
                continue
            key = key_of(rumour)
            fresh += key[1] not in _FLOODED
            self.context.counts["rumours_fresh"] += 1
            self._remember(name, raw, key)
            if self.handle(rumour, link) and self.relay:
                self._pass_on(name, raw, link.number)
        if fresh:
            self._lazy.discard(link.number)
        elif known and link.number not in self._lazy:
            self._lazy.add(link.number)
            self.links.send(link, wire.Prune())

    def on_ihave(self, link: Link, message: wire.Ihave) -> None:
        """Rumours were named."""
        for name in message.ids:
            if name not in self._known and name not in self.events.past:
                if self._named[link.number] >= NAMED:
                    self.context.counts["names_refused"] += 1
                    return
                namers = self._named_by.setdefault(name, [])
                if len(namers) < 8 and link.number not in namers:
                    namers.append(link.number)
                    self._named[link.number] += 1
                if len(namers) == 1:
                    self.context.timers.set(
                        ("graft", name), self.context.now + self.context.settings.graft_after
                    )

    def graft(self, name: bytes) -> None:
        """A rumour that was named has not come: ask one of those who named it."""
        namers = self._named_by.get(name, [])
        while namers:
            number = namers.pop(0)
            self._unname(number)
            link = self.links.by_number.get(number)
            if link is not None and link.peer is not None:
                self._lazy.discard(link.number)
                self.links.send(link, wire.Graft([name]))
                self.context.timers.set(
                    ("graft", name), self.context.now + self.context.settings.graft_after
                )
                return
        self._named_by.pop(name, None)

    def _unname(self, number: int) -> None:
        self._named[number] -= 1
        if self._named[number] <= 0:
            del self._named[number]

    def name_events(self, link: Link) -> None:
        """Name the users' events that are remembered here, for whoever may have missed one."""
        names = list(self.events.recent)
        for start in range(0, len(names), 2048):
            self.links.send(link, wire.Ihave(names[start : start + 2048]))

    def on_graft(self, link: Link, message: wire.Graft) -> None:
        """A peer misses rumours that were named to it."""
        self._lazy.discard(link.number)
        self._grafted.add(link.number)
        for name in message.ids:
            if name in self._known:
                raw, _, key = self._known[name]
                self._queue(link.number, key, raw)

    def on_prune(self, link: Link) -> None:
        """A peer gets the rumours from somebody else."""
        self._lazy.add(link.number)
        self._grafted.discard(link.number)

    def link_lost(self, number: int) -> None:
        """Forget a closed link."""
        self._lazy.discard(number)
        self._grafted.discard(number)
        self._eager_queue.pop(number, None)
        self._lazy_queue.pop(number, None)
        self._busy.discard(number)

    # --- sending

    def busy(self, number: int, is_busy: bool) -> None:
        """The transport cannot take more for this link, or it can again."""
        (self._busy.add if is_busy else self._busy.discard)(number)

    def all_eager(self) -> None:
        """Send the next rumours whole over every link: it is the last chance."""
        self._last_words = True

    def send_names(self) -> None:
        """Name to lazy links what came since the last time."""
        for number, names in self._lazy_queue.items():
            link = self.links.by_number.get(number)
            if link is not None and link.peer is not None:
                for start in range(0, len(names), 2048):
                    self.links.send(link, wire.Ihave(names[start : start + 2048]))
        self._lazy_queue.clear()

    def flush(self) -> None:
        """Send what waits for eager links, in frames of bounded size."""
        if not self._eager_queue:
            return
        queues = self._eager_queue
        self._eager_queue = {number: queues[number] for number in self._busy & queues.keys()}
        for number, queue in queues.items():
            link = self.links.by_number.get(number)
            if link is None or link.peer is None or number in self._busy:
                continue
            raws = queue.take()
            batch: list[msgspec.Raw] = []
            size = 0
            for raw in raws:
                if batch and (size + len(raw) > wire.BULK or len(batch) == 1024):
                    self.links.send(link, wire.Rumours(batch))
                    batch, size = [], 0
                batch.append(msgspec.Raw(raw))
                size += len(raw)
            if batch:
                self.links.send(link, wire.Rumours(batch))
