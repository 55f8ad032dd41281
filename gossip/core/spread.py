"""Spreading rumours: an epidemic broadcast tree over the open links.

Plumtree (Leitão, Pereira, Rodrigues 2007): a rumour goes whole over eager links and by name over
lazy ones. A link that brought only what was known already becomes lazy (prune), one that names
what is missing becomes eager (graft): the eager links turn into a spanning tree, and the lazy ones
mend it. A rumour's name is a hash of its bytes, so what several members conclude on their own and
say in the same bytes is one rumour.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.errors import FrameInvalid


@dataclass
class Spread:
    """The tree, seen from one node."""

    context: Context
    links: Links
    handle: Callable[[wire.Rumour, Link], bool]
    """Takes a rumour in; True if it was news, which is passed on."""
    _known: dict[bytes, tuple[bytes, float]] = field(default_factory=dict)
    """Name -> (bytes, when it came); in order of coming."""
    _known_bytes: int = 0
    _lazy: set[int] = field(default_factory=set)
    _eager_queue: dict[int, list[bytes]] = field(default_factory=dict)
    _lazy_queue: dict[int, list[bytes]] = field(default_factory=dict)
    _named_by: dict[bytes, list[int]] = field(default_factory=dict)

    def publish(self, rumour: wire.Rumour) -> None:
        """Spread a rumour of my own."""
        raw = wire.encode_rumour(rumour)
        name = wire.rumour_id(raw)
        if name not in self._known:
            self._remember(name, raw)
            self._pass_on(name, raw, None)

    def tell(self, link: Link, rumour: wire.Rumour) -> None:
        """Give a rumour to one peer only."""
        self._eager_queue.setdefault(link.number, []).append(wire.encode_rumour(rumour))

    def _remember(self, name: bytes, raw: bytes) -> None:
        self._known[name] = (raw, self.context.now)
        self._known_bytes += len(raw)
        self._named_by.pop(name, None)
        self.context.timers.cancel(("graft", name))
        oldest = self.context.now - self.context.settings.remember
        while self._known_bytes > self.context.settings.remember_bytes or (
            self._known and next(iter(self._known.values()))[1] < oldest
        ):
            old_raw, _ = self._known.pop(next(iter(self._known)))
            self._known_bytes -= len(old_raw)

    def _pass_on(self, name: bytes, raw: bytes, source: int | None) -> None:
        for link in self.links.open():
            if link.number == source:
                continue
            if link.number in self._lazy:
                self._lazy_queue.setdefault(link.number, []).append(name)
                self.context.timers.set_earlier(
                    ("ihave",), self.context.now + self.context.settings.lazy_delay
                )
            else:
                self._eager_queue.setdefault(link.number, []).append(raw)

    # --- from others

    def on_rumours(self, link: Link, message: wire.Rumours) -> None:
        """Rumours came whole."""
        fresh = known = 0
        for item in message.items:
            raw = bytes(item)
            name = wire.rumour_id(raw)
            if name in self._known:
                known += 1
                continue
            try:
                rumour = wire.decode_rumour(raw)
            except FrameInvalid:
                self.context.counts["malformed"] += 1
                continue
            fresh += 1
            self._remember(name, raw)
            if self.handle(rumour, link):
                self._pass_on(name, raw, link.number)
        self.context.counts["rumours_fresh"] += fresh
        self.context.counts["rumours_known"] += known
        if fresh:
            self._lazy.discard(link.number)
        elif known and link.number not in self._lazy:
            self._lazy.add(link.number)
            self.links.send(link, wire.Prune())

    def on_ihave(self, link: Link, message: wire.Ihave) -> None:
        """Rumours were named."""
        for name in message.ids:
            if name not in self._known and len(self._named_by) < 65536:
                namers = self._named_by.setdefault(name, [])
                if len(namers) < 8 and link.number not in namers:
                    namers.append(link.number)
                if len(namers) == 1:
                    self.context.timers.set(
                        ("graft", name), self.context.now + self.context.settings.graft_after
                    )

    def graft(self, name: bytes) -> None:
        """A rumour that was named has not come: ask one of those who named it."""
        namers = self._named_by.get(name, [])
        while namers:
            link = self.links.by_number.get(namers.pop(0))
            if link is not None and link.peer is not None:
                self._lazy.discard(link.number)
                self.links.send(link, wire.Graft([name]))
                self.context.timers.set(
                    ("graft", name), self.context.now + self.context.settings.graft_after
                )
                return
        self._named_by.pop(name, None)

    def on_graft(self, link: Link, message: wire.Graft) -> None:
        """A peer misses rumours that were named to it."""
        self._lazy.discard(link.number)
        queue = self._eager_queue.setdefault(link.number, [])
        queue.extend(self._known[name][0] for name in message.ids if name in self._known)

    def on_prune(self, link: Link) -> None:
        """A peer gets the rumours from somebody else."""
        self._lazy.add(link.number)

    def link_lost(self, number: int) -> None:
        """Forget a closed link."""
        self._lazy.discard(number)
        self._eager_queue.pop(number, None)
        self._lazy_queue.pop(number, None)

    # --- sending

    def all_eager(self) -> None:
        """Send the next rumours whole over every link: it is the last chance."""
        self._lazy.clear()

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
        queues, self._eager_queue = self._eager_queue, {}
        for number, raws in queues.items():
            link = self.links.by_number.get(number)
            if link is None or link.peer is None:
                continue
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
