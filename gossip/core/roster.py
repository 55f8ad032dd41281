"""Who is here: the table, and what words about members change in it.

The rules of the table are in `table`. What is not believed at once is in `hearsay`, what this
member says of itself in `myself`, and whether a death is likely is for `detection` to say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from meshcache.gossip import wire
from meshcache.gossip.core import shown
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.events import (
    Event,
    Member,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberUpdated,
    NameConflict,
)
from meshcache.gossip.core.hearsay import Hearsay
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.myself import Myself
from meshcache.gossip.core.reentry import Reentry
from meshcache.gossip.core.spread import Spread
from meshcache.gossip.core.table import ALIVE, FAILED, FULL, LEAF, LEFT, Row, Table
from meshcache.gossip.core.verdicts import SILENT
from meshcache.gossip.core.view import ViewChanges, zone_of

NEWCOMER = 3.0
"""For so many seconds after its first contact a member is a newcomer."""
_LEAVING: dict[int, Callable[[Member], Event]] = {FAILED: MemberFailed, LEFT: MemberLeft}


@dataclass(frozen=True, slots=True)
class End:
    """A word that a member failed or left."""

    uid: bytes
    status: int
    incarnation: int
    since: int
    """ms since 1970."""
    cause: int = SILENT
    record: wire.Record | None = None
    """What it was, if the word says so."""


class Judge(Protocol):
    """What the roster asks of detection, and tells it."""

    def credible(self, uid: bytes, cause: int) -> bool:
        """Whether what is known here speaks for this death too."""

    def refuted(self, uid: bytes) -> None:
        """A member says that it lives, in a higher incarnation."""

    def ended(self, uid: bytes) -> None:
        """A member failed, left or is forgotten."""

    def hush(self, until: float) -> None:
        """Accuse nobody before this time."""


class Roster:
    """The members, as one node knows them."""

    judge: Judge
    """To be set before the first word comes."""

    def __init__(self, context: Context, record: wire.Record, links: Links, spread: Spread) -> None:
        """Begin with myself alone."""
        self.context = context
        self.links = links
        self.spread = spread
        self.lost: set[bytes] = set()
        """Members that failed without a refusal: they may come back."""
        self.table = Table(context.settings.members)
        self.is_leaf = record.role == LEAF
        self.hearsay = Hearsay(context, self.is_leaf)
        self.reentry = Reentry(context, self.table, self.lost)
        self.myself = Myself(context, record, self.table, links, spread, self.reentry, self._raised)
        self.view_changes = ViewChanges(context, self.table)
        self._newcomer_until: float | None = None
        if not self.is_leaf:  # a leaf is in nobody's table, nor in its own
            self.table.merge(record.uid, ALIVE, record.incarnation, record=record, since=0)
            self.table.rows[record.uid].learned = context.wall_ms
            rings = self.view_changes.rings
            self.view_changes.begin(rings.changed({record.uid: zone_of(record)}, ()))

    @property
    def me(self) -> wire.Record:
        """My own record."""
        return self.myself.record

    def view(self, uid: bytes) -> Member:
        """A member as the user sees it."""
        if uid == self.context.uid and self.is_leaf:
            return shown.leaf(self.me)
        return shown.member(self.table.rows[uid])

    # --- words about members

    def first_contact(self) -> None:
        """A newcomer learns the table from those who know it: for a while it passes no rows on."""
        if self._newcomer_until is None:
            self._newcomer_until = self.context.now + NEWCOMER

    @property
    def newcomer(self) -> bool:
        """Whether this member is (still) learning whom it will keep links to."""
        return self._newcomer_until is None or self.context.now < self._newcomer_until

    def introduced(self, record: wire.Record, link: Link) -> None:
        """A process said hello for itself."""
        row = self.table.rows.get(record.uid)
        if row is not None and row.status != ALIVE and record.incarnation <= row.incarnation:
            # It does not know yet what is said of it: tell it, so that it can refute.
            word: wire.Rumour = wire.Dead(record.uid, row.incarnation, SILENT)
            if row.status == LEFT:
                word = wire.Gone(record.uid, row.incarnation)
            self.spread.tell(link, word)
        elif self._alive(record):
            self.spread.publish(wire.Alive(record))

    def on_rumour(self, rumour: wire.Rumour) -> bool:
        """A rumour about a member; True if it was news."""
        match rumour:
            case wire.Alive(record=record):
                return self._alive(record)
            case wire.Dead(uid=uid, incarnation=incarnation, cause=cause):
                return self._gone(End(uid, FAILED, incarnation, self.context.wall_ms, cause))
            case wire.Gone(uid=uid, incarnation=incarnation):
                return self._gone(End(uid, LEFT, incarnation, self.context.wall_ms))
            case _:
                return False

    def take_row(self, row: wire.Row) -> None:
        """A row of another's table; news is passed on, for it may be from another island."""
        uid = row.record.uid
        if row.status == ALIVE:
            if self._alive(row.record) and not self.newcomer:
                self.spread.publish(wire.Alive(row.record))
        elif row.status in _LEAVING:
            oldest = self.context.wall_ms - self.context.settings.forget_members * 1000
            if uid not in self.table.rows and row.since < oldest:
                return
            since = min(row.since, self.context.wall_ms)
            news = self._gone(End(uid, row.status, row.incarnation, since, record=row.record))
            if news and not self.newcomer:
                left = row.status == LEFT
                self.spread.publish(
                    wire.Gone(uid, row.incarnation)
                    if left
                    else wire.Dead(uid, row.incarnation, SILENT)
                )

    def _alive(self, record: wire.Record) -> bool:
        uid, incarnation = record.uid, record.incarnation
        if uid == self.context.uid:
            if incarnation > self.me.incarnation or (
                incarnation == self.me.incarnation and record != self.me and not self.is_leaf
            ):
                self.context.counts["hostile"] += 1  # somebody speaks in my name
                self.deny(incarnation, failed=True)
            return False
        row = self.table.rows.get(uid)
        known = row.incarnation if row is not None else None
        if record.role != FULL or self.hearsay.impossible(incarnation, known):
            return False
        early = self.hearsay.take_early(uid)
        if early is not None and early > (incarnation, ALIVE):
            return self._gone(End(uid, early[1], early[0], self.context.wall_ms, record=record))
        if row is None:
            self.table.make_room()
        old, was_living = (row.record if row else None), self.table.alive(uid)
        if not self.table.merge(uid, ALIVE, incarnation, record=record, since=0):
            return False
        row = self.table.rows[uid]
        if not was_living:
            row.suspect = False
            self.learned(row, MemberJoined)
            self.view_changes.soon(uid)
            namesakes = self.table.named(record.name)
            if len(namesakes) > 1:
                first, second = sorted(namesakes)[:2]
                self.context.emit(NameConflict(record.name, (first.hex(), second.hex())))
        elif old is not None and (old.tags, old.address) != (record.tags, record.address):
            self.context.emit(MemberUpdated(self.view(uid)))
            if zone_of(old) != zone_of(record):
                self.view_changes.soon(uid)
        self.judge.refuted(uid)
        return True

    def _gone(self, end: End) -> bool:
        uid, incarnation = end.uid, end.incarnation
        if uid == self.context.uid:
            self.deny(incarnation, failed=True)
            return False
        row = self.table.rows.get(uid)
        known = row.incarnation if row is not None else None
        if self.hearsay.impossible(incarnation, known):
            return False
        if row is None:
            if end.record is None:
                # Its row may come later, from one who has not heard this yet.
                return self.hearsay.keep_early(uid, incarnation, end.status)
            if end.record.role != FULL:
                return False
            self.table.make_room()
        elif (
            row.status == ALIVE and end.status == FAILED and not self.judge.credible(uid, end.cause)
        ):
            news = incarnation >= row.incarnation
            return news and self.hearsay.doubt(uid, incarnation, end.cause)
        return self.end(end)

    def end(self, end: End) -> bool:
        """A member has failed or left; False if that is known."""
        uid, failed = end.uid, end.status == FAILED
        was_living = self.table.alive(uid)
        if not self.table.merge(
            uid, end.status, end.incarnation, record=end.record, since=end.since
        ):
            return False
        row = self.table.rows[uid]
        row.suspect = False
        self.judge.ended(uid)
        if failed:
            self.links.expel(uid)
        if failed and end.cause == SILENT:
            self.lost.add(uid)
        if was_living:
            self.learned(row, _LEAVING[end.status])
            self.view_changes.soon(uid)
        else:
            row.learned = self.context.wall_ms
        return True

    def believe(self, uid: bytes) -> None:
        """A doubted death was not denied in time."""
        incarnation, cause = self.hearsay.undenied(uid) or (-1, SILENT)
        row = self.table.rows.get(uid)
        if row is not None and row.status == ALIVE and incarnation >= row.incarnation:
            self.end(End(uid, FAILED, incarnation, self.context.wall_ms, cause))

    def learned(self, row: Row, event: Callable[[Member], Event]) -> None:
        """The state of a member has changed: tell the user."""
        row.learned = self.context.wall_ms
        self.context.emit(event(self.view(row.record.uid)))

    # --- myself

    def change_mine(self, tags: dict[str, str]) -> None:
        """Change my own record and tell everybody."""
        self.myself.change(tags)
        self.context.emit(MemberUpdated(self.view(self.context.uid)))

    def deny(self, incarnation: int, *, failed: bool) -> None:
        """Somebody says of me what is not so (`Myself.deny`)."""
        self.myself.deny(incarnation, failed=failed)
        self.judge.hush(self.myself.away_until)  # who is away itself accuses nobody

    def _raised(self, before: wire.Record) -> None:
        if zone_of(before) != zone_of(self.me):
            self.view_changes.soon(before.uid)
        self.judge.refuted(before.uid)

    def reap(self) -> None:
        """Forget those that failed or left long ago."""
        self.hearsay.reap()
        oldest = self.context.wall_ms - self.context.settings.forget_members * 1000
        for uid in self.table.dead(before=oldest):
            self.table.forget(uid)
            self.judge.ended(uid)
