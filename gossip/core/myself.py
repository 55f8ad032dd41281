"""What a member says of itself: its record, which it alone changes, and its leave."""

from collections.abc import Callable

import msgspec

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.reentry import Reentry
from meshcache.gossip.core.spread import Spread
from meshcache.gossip.core.table import ALIVE, LEAF, LEFT, Table

PAUSE = 0.1
"""Between two denials: what comes meanwhile is denied together."""


class Myself:
    """This member, in its own words."""

    def __init__(
        self,
        context: Context,
        record: wire.Record,
        table: Table,
        links: Links,
        spread: Spread,
        reentry: Reentry,
        on_raised: Callable[[wire.Record], None],
    ) -> None:
        """Begin with this record; `on_raised` is told the one before each change."""
        self._context = context
        self._table = table
        self._links = links
        self._spread = spread
        self._reentry = reentry
        self._on_raised = on_raised
        self.record = record
        self.is_leaf = record.role == LEAF
        self.leaving = False
        self.away_until = 0.0
        """The mesh holds me failed, and I have to wait until then before I may come back."""
        self._tags_then: dict[str, str] | None = None
        self._farewells: set[int] = set()
        self._denied_at = -PAUSE
        self._to_deny = -1
        """The highest incarnation in which somebody holds me dead, suspect or another."""

    @property
    def away(self) -> bool:
        """Whether I have to wait."""
        return self._context.now < self.away_until

    def change(self, tags: dict[str, str]) -> None:
        """Change my tags and tell everybody (once I am back, if I am away)."""
        if self.away:
            self._tags_then = tags
        else:
            self._raise(self.record.incarnation + 1, tags)

    def _raise(self, incarnation: int, tags: dict[str, str] | None = None) -> None:
        old = self.record
        self.record = msgspec.structs.replace(
            old, incarnation=incarnation, tags=old.tags if tags is None else tags
        )
        if self.is_leaf:
            return
        self._table.merge(old.uid, ALIVE, incarnation, record=self.record, since=0)
        self._on_raised(old)
        self._spread.publish(wire.Alive(self.record))

    def deny(self, incarnation: int, *, failed: bool) -> None:
        """Somebody says of me what is not so (that I failed, or less), in this incarnation of mine:
        I am in a later one, at once or when I may come back.

        A denial that arrives when I have been failed is a return. So a suspect, too, says so only
        if it may return: its observers clear it as soon as they hear it.
        """
        if incarnation < self.record.incarnation:
            return
        self._to_deny = max(self._to_deny, incarnation)
        if self.away or ((wait := self._reentry.wait()) and not failed):
            return
        now = self._context.now
        due = max(self._denied_at + PAUSE, now + wait)
        if due > now:
            self.away_until = now + wait
            self._context.timers.set_earlier(("deny",), due)
        else:
            self.deny_all()

    def deny_all(self) -> None:
        """Deny what was said since the last time."""
        if self.leaving or self._to_deny < self.record.incarnation:
            return
        tags, self._tags_then = self._tags_then, None
        self._denied_at = self._context.now
        self._reentry.denied()
        self._context.counts["refutations"] += 1
        self._raise(self._to_deny + 1, tags)

    def leave(self, ask: Callable[[Link], int]) -> None:
        """Say that I go, to everybody, and ask the neighbours whether they heard it."""
        self.leaving = True
        if self.is_leaf:
            return
        uid, incarnation = self._context.uid, self.record.incarnation + 1
        self._table.merge(uid, LEFT, incarnation, record=None, since=self._context.wall_ms)
        self._spread.all_eager()
        self._spread.publish(wire.Gone(uid, incarnation))
        self._spread.flush()
        self._farewells = {ask(link) for link in self._links.open()}

    @property
    def left_heard(self) -> bool:
        """Whether every neighbour that was told of the leave has answered."""
        return not self._farewells

    def answered(self, probe: int) -> None:
        """A probe of this number was answered."""
        self._farewells.discard(probe)
