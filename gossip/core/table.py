"""The table of members: one row for each process that was ever seen and is not yet forgotten.

Rows merge like a semilattice: of two words about one uid the greater (incarnation, status) stands,
with alive < failed < left. Only the subject raises its incarnation, so only it can undo what is
said of it, whatever the order in which words arrive. Suspicion is no part of this: it is each
member's own conclusion from alerts (`verdicts`).
"""

from collections.abc import Iterable, Iterator

from meshcache.gossip import wire
from meshcache.gossip.core.digest import Digest, item_hash

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
        self.rows: dict[bytes, Row] = {}
        self.digest = Digest()
        self.living: set[bytes] = set()
        self._names: dict[str, set[bytes]] = {}
        self._addresses: dict[str, set[bytes]] = {}

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
            self._names.setdefault(row.record.name, set()).add(uid)
            self._addresses.setdefault(row.record.address, set()).add(uid)

    def _unindex(self, row: Row) -> None:
        uid = row.record.uid
        self.digest.toggle(uid[0], row.hash())
        if row.status == ALIVE:
            self.living.discard(uid)
            for index, key in (
                (self._names, row.record.name),
                (self._addresses, row.record.address),
            ):
                index[key].discard(uid)
                if not index[key]:
                    del index[key]

    def forget(self, uid: bytes) -> None:
        """Drop a row."""
        row = self.rows.pop(uid)
        self._unindex(row)

    def alive(self, uid: bytes) -> bool:
        """Whether `uid` is known and neither failed nor left (it may be suspect)."""
        return uid in self.living

    def named(self, name: str) -> set[bytes]:
        """The living members of this name: more than one is a conflict."""
        return self._names.get(name, set())

    def at(self, address: str) -> set[bytes]:
        """The living members that say they are at this address."""
        return self._addresses.get(address, set())

    def in_buckets(self, buckets: Iterable[int]) -> Iterator[wire.Row]:
        """The rows of some buckets, for another member."""
        wanted = frozenset(buckets)
        for uid, row in self.rows.items():
            if uid[0] in wanted:
                yield wire.Row(row.record, row.status, row.incarnation, row.since)
