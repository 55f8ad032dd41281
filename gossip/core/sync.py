"""Anti-entropy: what no rumour brought is found by comparing hashes.

One member sends the hash of its table and its map. If they are equal that was all (about 60 B);
else the other answers with its 256 bucket hashes, the first sends the rows of the buckets that
differ and asks for the other's. Nobody ever sends a whole table on a timer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.spread import Spread
from meshcache.gossip.core.statemap import Part, StateMap
from meshcache.gossip.core.table import Table

ROW_SIZE = 100
"""What a row takes beside its tags, roughly: only to cut frames."""


@dataclass
class Sync:
    """Anti-entropy of one node."""

    context: Context
    links: Links
    table: Table
    entries: StateMap
    spread: Spread
    take_row: Callable[[wire.Row], None]
    take_entry: Callable[[wire.MapEntry], object]
    any_member: Callable[[], bytes]
    """One of all members, each as likely."""
    _turn: list[bytes] = field(default_factory=list)

    def round(self) -> Link | None:
        """Compare with one neighbour, each in turn; the link to it, if there is one."""
        self.context.timers.set(
            ("sync",), self.context.now + self.context.jitter(self.context.settings.sync)
        )
        if not self._turn:
            self._turn = [link.peer for link in self.links.open() if link.peer is not None]
            self.context.rng.shuffle(self._turn)
        while self._turn:
            link = self.links.of(self._turn.pop())
            if link is not None:
                self.begin(link)
                return link
        return None

    def far(self) -> None:
        """Compare with any member, when a link to it is open."""
        context = self.context
        context.timers.set(("sync-far",), context.now + context.jitter(context.settings.sync_far))
        other = self.any_member()
        if other != context.uid:
            link = self.links.of(other) or self.links.urge(other)
            if link is not None:
                context.timers.set(("sync-with", link.number), context.now + 1.0)

    def over(self, number: int) -> None:
        """Compare over this link, if it is (still) open."""
        link = self.links.by_number.get(number)
        if link is not None and link.peer is not None:
            self.begin(link)

    def begin(self, link: Link) -> None:
        """Compare with one peer."""
        self.context.counts["syncs"] += 1
        self.links.send(
            link,
            wire.Digest(
                self.table.digest.total,
                self._entries_for(link).digest.total,
                self.entries.floor,
                b"" if link.number in self.links.guests else self.spread.events.total,
            ),
        )

    def _entries_for(self, link: Link) -> StateMap | Part:
        seen = self.links.guests.sees(link.number)
        return self.entries if seen is None else self.entries.part(seen)

    def on_digest(self, link: Link, message: wire.Digest) -> None:
        """A peer begins to compare."""
        if self._too_often(link):
            return
        mine = self._entries_for(link)
        members = message.members != self.table.digest.total
        entries = message.entries != mine.digest.total
        if link.number not in self.links.guests:
            if not entries:
                # We hold the same entries, so what it may forget, we may.
                self.entries.raise_floor(message.floor, self.context.wall_ms)
            if message.events not in (b"", self.spread.events.total):
                self.spread.name_events(link)
        if members or entries:
            self.context.counts["syncs_unequal"] += 1
            self.links.keep(link, self.context.settings.link_linger)
            self.links.send(
                link,
                wire.Differ(
                    self.table.digest.buckets() if members else b"",
                    mine.digest.buckets() if entries else b"",
                ),
            )

    def on_differ(self, link: Link, message: wire.Differ) -> None:
        """The peer's hashes differ: send what we have there, and ask for its part."""
        if self._too_often(link):
            return
        members = self.table.digest.differing(message.members)
        entries = self._entries_for(link).digest.differing(message.entries)
        if members or entries:
            self._send(link, members, entries, ask=True)

    def on_rows(self, link: Link, message: wire.Rows) -> None:
        """Rows came, and maybe the wish for ours."""
        for row in message.rows:
            self.take_row(row)
        for entry in message.entries:
            self.take_entry(entry)
        if (message.want_members or message.want_entries) and not self._too_often(link):
            self._send(link, message.want_members, message.want_entries, ask=False)

    def _too_often(self, link: Link) -> bool:
        """Each answer may be many times what asked for it, so nobody may ask all the time."""
        if link.comparisons.take(self.context.now):
            return False
        self.context.counts["syncs_refused"] += 1
        return True

    def _send(
        self, link: Link, members: Sequence[int], entries: Sequence[int], *, ask: bool
    ) -> None:
        rows: list[wire.Row] = []
        items: list[wire.MapEntry] = []
        size = 0
        for row in self.table.in_buckets(members):
            rows.append(row)
            size += ROW_SIZE + wire.tags_size(row.record.tags)
            if size > wire.BULK or len(rows) == 512:
                self.links.send(link, wire.Rows(rows, []))
                rows, size = [], 0
        for entry in self._entries_for(link).in_buckets(entries):
            items.append(entry)
            size += ROW_SIZE + len(entry.key) + len(entry.value or b"")
            if size > wire.BULK or len(items) == 512:
                self.links.send(link, wire.Rows(rows, items))
                rows, items, size = [], [], 0
        want = (bytes(members), bytes(entries)) if ask else (b"", b"")
        if rows or items or ask:
            self.links.send(link, wire.Rows(rows, items, *want))
