"""Who is here: the table, the verdicts and the observer in one place.

The rules of the table are in `table`, those of suspicion in `verdicts`, looking is in `watch`;
here they are joined: what a rumour changes, and what the user is told. What is not believed at once
is in `hearsay`, what this member says of itself in `myself`.
"""

from collections.abc import Callable

from meshcache.gossip import wire
from meshcache.gossip.core import shown
from meshcache.gossip.core.alerts import Alerts
from meshcache.gossip.core.answers import Answers
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.events import (
    Event,
    Member,
    MemberAlive,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberSuspect,
    MemberUpdated,
    NameConflict,
    ViewChanged,
    Why,
)
from meshcache.gossip.core.hearsay import Hearsay
from meshcache.gossip.core.inquiries import Inquiries
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.myself import Myself
from meshcache.gossip.core.newcomers import Newcomers
from meshcache.gossip.core.probes import Probes
from meshcache.gossip.core.reentry import Reentry
from meshcache.gossip.core.rings import Rings
from meshcache.gossip.core.spread import Spread
from meshcache.gossip.core.table import ALIVE, FAILED, FULL, LEAF, LEFT, Row, Table
from meshcache.gossip.core.verdicts import HEARD, REFUSED, REPLACED, SILENT, Verdicts
from meshcache.gossip.core.view import ViewChanges, zone_of
from meshcache.gossip.core.watch import Watch

NEWCOMER = 3.0
"""For so many seconds after its first contact a member is a newcomer."""
_LEAVING: dict[int, Callable[[Member], Event]] = {FAILED: MemberFailed, LEFT: MemberLeft}


class Membership:
    """The members, as one node sees them."""

    def __init__(self, context: Context, record: wire.Record, links: Links, spread: Spread) -> None:
        """Begin with myself alone."""
        self.context = context
        self.links = links
        self.spread = spread
        self.lost: set[bytes] = set()
        """Members that failed without a refusal: they may come back."""
        self.table = Table(context.settings.members)
        self.is_leaf = record.role == LEAF
        self.hearsay = Hearsay(context)
        self.reentry = Reentry(context, self.table, self.lost)
        self.myself = Myself(context, record, self.table, links, spread, self.reentry, self._raised)
        self.view_changes = ViewChanges(context, self.table)
        self.verdicts = Verdicts(context, self.table, self._suspect, self._cleared, self._declare)
        self.verdicts.rings = self.rings
        self.probes = Probes(context, links)
        self.alerts = Alerts(
            context,
            lambda uid: self.table.rows[uid].incarnation,
            self.verdicts.hear,
            spread.publish,
        )
        self.inquiries = Inquiries(
            context,
            links,
            self._observers_to_ask,
            lambda uid: uid in self.verdicts.accused,
            lambda uid: self.watch.still_missing(uid),
        )
        self.watch = Watch(
            context,
            links,
            self.probes,
            self.alerts,
            Newcomers(context, links, lambda uid: self.alerts.say(uid, REFUSED)),
            self._accused_by_other,
            self.inquiries.agree,
            self._missing,
        )
        self.answers = Answers(
            context, links, self.watch.misses, self.watch.look_at, self.inquiries.asked
        )
        self._newcomer_until: float | None = None
        if not self.is_leaf:  # a leaf is in nobody's table, nor in its own
            self.table.merge(record.uid, ALIVE, record.incarnation, record=record, since=0)
            self.table.rows[record.uid].learned = context.wall_ms
            self.view_changes.rings = self.rings.changed({record.uid: zone_of(record)}, ())
            self.verdicts.rings = self.rings

    # --- what the user sees

    @property
    def me(self) -> wire.Record:
        """My own record."""
        return self.myself.record

    @property
    def rings(self) -> Rings:
        """Who observes whom."""
        return self.view_changes.rings

    @property
    def leaving(self) -> bool:
        """Whether this member has said that it goes."""
        return self.myself.leaving

    def view(self, uid: bytes) -> Member:
        """A member as the user sees it."""
        if uid == self.context.uid and self.is_leaf:
            return shown.leaf(self.me)
        return shown.member(self.table.rows[uid])

    def all(self) -> list[Member]:
        """All members, this one included, sorted by name; one that failed or left is not shown
        once a newer process has its name."""
        members = [
            shown.member(row)
            for _, row in self.table.rows.items()
            if row.status == ALIVE or not self.table.named(row.record.name)
        ]
        if self.is_leaf:
            members.append(shown.leaf(self.me))
        return sorted(members, key=lambda member: (member.name, member.epoch, member.uid))

    # --- words about members

    def first_contact(self) -> None:
        """A newcomer learns the table from those who know it: for a while it passes no rows on."""
        if self._newcomer_until is None:
            self._newcomer_until = self.context.now + NEWCOMER

    @property
    def newcomer(self) -> bool:
        """Whether this member is (still) learning whom it will keep links to."""
        return self._newcomer_until is None or self.context.now < self._newcomer_until

    def acquaint(self, table: Table, rings: Rings) -> None:
        """Know all that this table holds, this member among them, without a word to anybody (a
        simulation begins so). Neither may change any more: they are shared."""
        self.table.adopt(table)
        self.view_changes.rings = rings
        self._moved()

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
            case wire.Alert():
                return self._alert(rumour)
            case wire.Dead(uid=uid, incarnation=incarnation, cause=cause):
                return self._gone(uid, FAILED, incarnation, None, self.context.wall_ms, cause)
            case wire.Gone(uid=uid, incarnation=incarnation):
                return self._gone(uid, LEFT, incarnation, None, self.context.wall_ms)
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
            news = self._gone(uid, row.status, row.incarnation, row.record, since)
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
                self._deny(incarnation, failed=True)
            return False
        row = self.table.rows.get(uid)
        known = row.incarnation if row is not None else None
        if record.role != FULL or self.hearsay.impossible(incarnation, known):
            return False
        early = self.hearsay.take_early(uid)
        if early is not None and early > (incarnation, ALIVE):
            return self._gone(uid, early[1], early[0], record, self.context.wall_ms)
        if row is None:
            self.table.make_room()
        old, was_living = (row.record if row else None), self.table.alive(uid)
        if not self.table.merge(uid, ALIVE, incarnation, record=record, since=0):
            return False
        row = self.table.rows[uid]
        if not was_living:
            row.suspect = False
            self._learned(row, MemberJoined)
            self.view_changes.soon(uid)
            namesakes = self.table.named(record.name)
            if len(namesakes) > 1:
                first, second = sorted(namesakes)[:2]
                self.context.emit(NameConflict(record.name, (first.hex(), second.hex())))
        elif old is not None and (old.tags, old.address) != (record.tags, record.address):
            self.context.emit(MemberUpdated(self.view(uid)))
            if zone_of(old) != zone_of(record):
                self.view_changes.soon(uid)
        self.verdicts.refuted(uid)
        self.watch.refuted(uid)
        return True

    def _gone(
        self,
        uid: bytes,
        status: int,
        incarnation: int,
        record: wire.Record | None,
        since: int,
        cause: int = SILENT,
    ) -> bool:
        if uid == self.context.uid:
            self._deny(incarnation, failed=True)
            return False
        row = self.table.rows.get(uid)
        known = row.incarnation if row is not None else None
        if self.hearsay.impossible(incarnation, known):
            return False
        if row is None:
            if record is None:
                # Its row may come later, from one who has not heard this yet.
                return self.hearsay.keep_early(uid, incarnation, status)
            if record.role != FULL:
                return False
            self.table.make_room()
        elif row.status == ALIVE and status == FAILED and not self._credible(uid, cause):
            return incarnation >= row.incarnation and self.hearsay.doubt(uid, incarnation, cause)
        return self._end(uid, status, incarnation, record, since, cause)

    def _end(
        self,
        uid: bytes,
        status: int,
        incarnation: int,
        record: wire.Record | None,
        since: int,
        cause: int,
    ) -> bool:
        was_living = self.table.alive(uid)
        if not self.table.merge(uid, status, incarnation, record=record, since=since):
            return False
        row = self.table.rows[uid]
        row.suspect = False
        self.verdicts.close(uid)
        if status == FAILED:
            self.links.expel(uid)
        if status == FAILED and cause == SILENT:
            self.lost.add(uid)
        if was_living:
            self._learned(row, _LEAVING[status])
            self.view_changes.soon(uid)
        else:
            row.learned = self.context.wall_ms
        return True

    def _credible(self, uid: bytes, cause: int) -> bool:
        """Whether what is known here speaks for this death too."""
        row = self.table.rows[uid]
        if cause == REPLACED:
            return len(self.table.at(row.record.address)) > 1
        return row.suspect or REFUSED in self.verdicts.accusers(uid).values()

    def believe(self, uid: bytes) -> None:
        """A doubted death was not denied in time."""
        incarnation, cause = self.hearsay.undenied(uid) or (-1, SILENT)
        row = self.table.rows.get(uid)
        if row is not None and row.status == ALIVE and incarnation >= row.incarnation:
            self._end(uid, FAILED, incarnation, None, self.context.wall_ms, cause)

    def _learned(self, row: Row, event: Callable[[Member], Event]) -> None:
        row.learned = self.context.wall_ms
        self.context.emit(event(self.view(row.record.uid)))

    # --- myself

    def change_mine(self, tags: dict[str, str]) -> None:
        """Change my own record and tell everybody."""
        self.myself.change(tags)
        self.context.emit(MemberUpdated(self.view(self.context.uid)))

    def _deny(self, incarnation: int, *, failed: bool) -> None:
        self.myself.deny(incarnation, failed=failed)
        self.watch.hush(self.myself.away_until)  # who is away itself accuses nobody

    def _raised(self, before: wire.Record) -> None:
        if zone_of(before) != zone_of(self.me):
            self.view_changes.soon(before.uid)
        self.verdicts.refuted(before.uid)

    # --- alerts and verdicts

    def _alert(self, alert: wire.Alert) -> bool:
        if alert.observer == self.context.uid:
            self.watch.disown(alert)
            return False
        if not self.verdicts.hear(alert):
            return False
        if alert.kind == REFUSED and alert.subject not in self.rings.uids and not self.is_leaf:
            self.apply_view()  # it died as it joined: who observes it must not wait for the rings
        if alert.kind != HEARD:
            self.watch.alerted(alert.subject)
        return True

    def _accused_by_other(self, uid: bytes) -> bool:
        return bool(self.verdicts.accusers(uid).keys() - {self.context.uid})

    def _observers_to_ask(self, uid: bytes) -> list[bytes]:
        """The other observers of a member that may be asked about it. (Who is accused itself cannot
        be relied upon to answer.)"""
        rows = self.table.rows
        return [
            other
            for other in self.rings.observers(uid)
            if other != self.context.uid
            and self.table.alive(other)
            and other not in self.verdicts.accused
            and rows[other].record.features & wire.ARBITERS
        ]

    def _missing(self, uid: bytes, missing: bool) -> None:
        if missing:
            self.answers.unheard(uid)
        else:
            self.inquiries.close(uid)

    def _suspect(self, uid: bytes) -> None:
        if uid == self.context.uid:
            self.reentry.trouble()
            self._deny(self.me.incarnation, failed=False)
            return
        row = self.table.rows[uid]
        row.suspect = True
        self._learned(row, MemberSuspect)

    def hold_over(self, uid: bytes) -> None:
        """A member has been suspect for the hold."""
        wait = self.watch.alone_at - self.context.now
        if wait > 0:
            self.context.timers.set(("hold", uid), self.context.now + wait)
        else:
            self.verdicts.hold_over(uid)

    def _cleared(self, uid: bytes) -> None:
        row = self.table.rows[uid]
        if row.suspect:
            row.suspect = False
            self._learned(row, MemberAlive)

    def _declare(self, uid: bytes, cause: int) -> None:
        """The mesh's rules say that this member is dead."""
        if uid == self.context.uid:
            self._deny(self.me.incarnation, failed=True)
            return
        incarnation = self.table.rows[uid].incarnation
        if self._end(uid, FAILED, incarnation, None, self.context.wall_ms, cause):
            self.spread.publish(wire.Dead(uid, incarnation, cause))

    def replaced(self, uid: bytes, address: str) -> None:
        """Another process answers at this address: if it is that of `uid`, `uid` is gone."""
        if self.table.alive(uid) and self.table.rows[uid].record.address == address:
            self._declare(uid, REPLACED)

    # --- links

    def link_lost(self, uid: bytes) -> None:
        """The last link to a member was closed from outside."""
        self.inquiries.link_lost(uid)
        if self.table.alive(uid) and not self.leaving:
            self.watch.link_lost(uid, newcomer=uid not in self.rings.uids)
            self.links.tend()

    def dial_failed(self, uid: bytes, why: Why) -> None:
        """A member could not be reached."""
        if why is Why.REFUSED:
            self.inquiries.refused(uid)
        if self.table.alive(uid):
            self.watch.dial_failed(uid, why)

    def hung_up(self, uid: bytes) -> None:
        """A member's address took a dial and ended it before a word was said."""
        if self.table.alive(uid):
            self.watch.hung_up(uid)

    def beat(self) -> None:
        """Beat, unless I have left."""
        if not self.leaving:
            self.watch.beat()
            self.reentry.look(deaf=self.watch.deaf)

    def stalled(self, seconds: float) -> None:
        """I stood still for so long."""
        self.reentry.trouble()
        self.watch.stalled(seconds)
        self.answers.stalled()
        self.verdicts.stalled(seconds)
        self.context.timers.delay("hearing", seconds)

    # --- the view

    def apply_view(self) -> None:
        """Take all changes since the last time into the rings, and move links."""
        if self.view_changes.apply():
            self._moved()
            self.context.emit(ViewChanged(len(self.rings)))

    def _moved(self) -> None:
        self.verdicts.new_view(self.rings)
        if not self.is_leaf:
            self.watch.new_view(self.rings)
            kept = self.watch.subjects.keys() | set(self.watch.observers)
            self.links.want(kept - {self.me.uid})

    def reap(self) -> None:
        """Forget those that failed or left long ago."""
        self.hearsay.reap()
        self.verdicts.reap()
        oldest = self.context.wall_ms - self.context.settings.forget_members * 1000
        for uid in self.table.dead(before=oldest):
            self.table.forget(uid)
            self.verdicts.close(uid)
