"""The table of members: one row for each process that was ever seen and is not yet forgotten.

Rows merge like a semilattice: of two words about one uid the greater (incarnation, status) stands,
with alive < failed < left. Only the subject raises its incarnation, so only it can undo what is
said of it, whatever the order in which words arrive. Suspicion is no part of this: it is each
member's own conclusion from alerts (`verdicts`).
"""

from collections.abc import Iterable, Iterator, MutableMapping, MutableSet
from copy import copy

from meshcache.gossip import wire
from meshcache.gossip.core.digest import Digest, item_hash
from meshcache.gossip.core.overlay import Overlay, OverlaySet

ALIVE, FAILED, LEFT = 0, 1, 2
FULL, LEAF = 0, 1


class Row:
    """One process, as it is known here."""

    __slots__ = ("incarnation", "learned", "record", "since", "status", "suspect")

    def __init__(self, record: wire.Record, status: int, incarnation: int, since: int) -> None:
        """A row with the state that it was learned with."""
        self.record = record
        self.status = status
        self.incarnation = incarnation
        self.since = since
        """ms since 1970 when it failed or left, as the first who said so has it; 0: lives."""
        self.learned = 0
        """ms since 1970 when this member learned its present state."""
        self.suspect = False

    def hash(self) -> int:
        """The digest's item for this row."""
        version = self.incarnation.to_bytes(5, "big") + bytes((self.status,))
        return item_hash(self.record.uid + version)


class Table:
    """All rows, with indexes by name and by address over the living."""

    def __init__(self, limit: int) -> None:
        """Make an empty table of at most `limit` rows."""
        self._limit = limit
        self.rows: MutableMapping[bytes, Row] = {}
        self.digest = Digest()
        self.living: MutableSet[bytes] = set()
        # Nearly every name and address is one member's: a tuple takes a third of a set.
        self._names: MutableMapping[str, tuple[bytes, ...]] = {}
        self._addresses: MutableMapping[str, tuple[bytes, ...]] = {}

    def adopt(self, base: "Table") -> None:
        """Hold all that `base` holds, and nothing else, without a copy of it: thousands of members
        in one process (a simulation) can begin with one table, which must not change any more."""
        self.rows = Overlay(base.rows, copy)
        self.digest = copy(base.digest)
        self.living = OverlaySet(base.living)
        self._names = Overlay(base._names, tuple)
        self._addresses = Overlay(base._addresses, tuple)

    def merge(
        self, uid: bytes, status: int, incarnation: int, *, record: wire.Record | None, since: int
    ) -> bool:
        """Take in a word about `uid`; True if it was news.

        A word without a record about an unknown uid is no news: nothing could be shown of it.
        """
        row = self.rows.get(uid)
        if row is None:
            if record is None or len(self.rows) >= self._limit:
                return False
            row = self.rows[uid] = Row(record, status, incarnation, since)
        elif (incarnation, status) <= (row.incarnation, row.status):
            return False
        else:
            self._unindex(row)
            if record is not None and record.incarnation >= row.record.incarnation:
                row.record = record
            row.status, row.incarnation, row.since = status, incarnation, since
        self._index(row)
        return True

    def _index(self, row: Row) -> None:
        uid = row.record.uid
        self.digest.toggle(uid[0], row.hash())
        if row.status == ALIVE:
            self.living.add(uid)
            for index, key in self._indexes(row):
                index[key] = (*index.get(key, ()), uid)

    def _unindex(self, row: Row) -> None:
        uid = row.record.uid
        self.digest.toggle(uid[0], row.hash())
        if row.status == ALIVE:
            self.living.discard(uid)
            for index, key in self._indexes(row):
                left = tuple(other for other in index[key] if other != uid)
                if left:
                    index[key] = left
                else:
                    del index[key]

    def _indexes(self, row: Row) -> Iterator[tuple[MutableMapping[str, tuple[bytes, ...]], str]]:
        yield self._names, row.record.name
        yield self._addresses, row.record.address

    def forget(self, uid: bytes) -> None:
        """Drop a row."""
        row = self.rows.pop(uid)
        self._unindex(row)

    def dead(self, *, before: float) -> list[bytes]:
        """Who failed or left before this (ms since 1970), the longest dead first."""
        found = [
            (row.since, uid)
            for uid, row in self.rows.items()
            if row.status != ALIVE and row.since < before
        ]
        return [uid for _, uid in sorted(found)]

    def make_room(self) -> None:
        """If the table is full, forget some of the longest dead for whoever is new."""
        if len(self.rows) >= self._limit:
            for uid in self.dead(before=2**63)[: 1 + self._limit // 20]:
                self.forget(uid)

    def alive(self, uid: bytes) -> bool:
        """Whether `uid` is known and neither failed nor left (it may be suspect)."""
        return uid in self.living

    def named(self, name: str) -> tuple[bytes, ...]:
        """The living members of this name: more than one is a conflict."""
        return self._names.get(name, ())

    def at(self, address: str) -> tuple[bytes, ...]:
        """The living members that say they are at this address."""
        return self._addresses.get(address, ())

    def in_buckets(self, buckets: Iterable[int]) -> Iterator[wire.Row]:
        """The rows of some buckets, for another member."""
        wanted = frozenset(buckets)
        for uid, row in self.rows.items():
            if uid[0] in wanted:
                yield wire.Row(row.record, row.status, row.incarnation, row.since)
