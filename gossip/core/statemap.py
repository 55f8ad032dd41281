"""The replicated map: small entries that every member holds.

Last writer wins by (hybrid logical clock, writer's uid); a deletion is a write without a value (a
tombstone). Members that have exchanged everything hold the same map, whatever the order.

Tombstones are forgotten after a week, all at the same age. `floor` is the clock of the newest one
forgotten here. An entry that is unknown here and older than the floor may have been deleted in the
meantime: it is not taken in but answered with a tombstone, so that nothing deleted comes back. The
price: what was written in a partition that lasted longer than that week may be lost. A newcomer
has no floor and takes everything.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from meshcache.gossip import wire
from meshcache.gossip.core.clock import COUNTER_BITS, HybridClock, stamp_ms
from meshcache.gossip.core.digest import Digest, item_hash
from meshcache.gossip.core.settings import Settings
from meshcache.gossip.errors import EntryTooLarge, MapConflict, MapFull

Key = tuple[str, str]
OVERHEAD = 64
"""What an entry counts for beside its text and value: clock, writer, the dictionary's share."""
NOBODY = b"\xff" * 16
"""The writer of tombstones that the floor makes: it wins over every other of the same clock."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Which write an entry is: compared by clock, then by writer."""

    clock: int
    writer: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and its version."""

    value: bytes
    version: Version


class Any:
    """The type of `ANY`."""

    def __repr__(self) -> str:
        return "ANY"


ANY = Any()
"""As the expected version of a write: whatever is there."""


def bucket_of(key: Key) -> int:
    """The digest's bucket of a key."""
    return item_hash("\0".join(key).encode()) & 0xFF


_revision = count(1)


def _hash(entry: wire.MapEntry) -> int:
    return item_hash(
        f"{entry.space}\0{entry.key}\0{entry.clock}\0".encode()
        + entry.writer
        + (entry.value if entry.value is not None else b"\0deleted")
    )


def _size(entry: wire.MapEntry) -> int:
    text = len(entry.space.encode()) + len(entry.key.encode())
    return OVERHEAD + text + (len(entry.value) if entry.value is not None else 0)


def _order(entry: wire.MapEntry) -> tuple[int, bytes, bool, bytes]:
    # The last two only matter if one writer used one clock twice (a copied process image): then
    # all members must still choose the same entry.
    return entry.clock, entry.writer, entry.value is None, entry.value or b""


class Part:
    """Some entries of a map, as if they were all of them: to be compared, and sent."""

    def __init__(self, entries: Iterable[wire.MapEntry]) -> None:
        self._entries = list(entries)
        self.digest = Digest()
        for entry in self._entries:
            self.digest.toggle(bucket_of((entry.space, entry.key)), _hash(entry))

    def in_buckets(self, buckets: Iterable[int]) -> Iterator[wire.MapEntry]:
        """The entries of some buckets."""
        return _in_buckets(self._entries, buckets)


def _in_buckets(
    entries: Iterable[wire.MapEntry], buckets: Iterable[int]
) -> Iterator[wire.MapEntry]:
    wanted = frozenset(buckets)
    return (entry for entry in entries if bucket_of((entry.space, entry.key)) in wanted)


class StateMap:
    """The entries, their limits and their digest."""

    def __init__(self, writer: bytes, settings: Settings) -> None:
        """Make an empty map that `writer` (a uid) writes to."""
        self._writer = writer
        self._settings = settings
        self._clock = HybridClock()
        self._spaces: dict[str, dict[str, wire.MapEntry]] = {}
        self._sizes: Counter[str] = Counter()
        """Bytes of each namespace."""
        self._revisions: dict[str, int] = {}
        self.digest = Digest()
        self.size = 0
        self.count = 0
        self.floor = 0
        self.refused = 0

    # --- reading

    def get(self, space: str, key: str) -> Entry | None:
        """The entry, or None if there is none."""
        entry = self._spaces.get(space, {}).get(key)
        if entry is None or entry.value is None:
            return None
        return Entry(entry.value, Version(entry.clock, entry.writer))

    def revision(self, space: str) -> int:
        """A number that is another one after each change of a namespace; no two maps of a process
        share one, but 0: nothing was ever there."""
        return self._revisions.get(space, 0)

    def items(self, space: str) -> list[tuple[str, Entry]]:
        """All entries of a namespace, sorted by key."""
        return [
            (key, Entry(entry.value, Version(entry.clock, entry.writer)))
            for key, entry in sorted(self._spaces.get(space, {}).items())
            if entry.value is not None
        ]

    # --- writing

    def write(
        self, space: str, key: str, value: bytes | None, expect: Version | Any | None, wall_ms: int
    ) -> wire.MapEntry:
        """Write here; what is returned has to be told to the others.

        Raises:
            MapConflict: the entry is not as `expect` says (None: there must be none).
            EntryTooLarge: namespace over 64, key over 256 or value over 4096 bytes.
            MapFull: no room for one more.
        """
        if not 0 < len(space.encode()) <= 64 or not 0 < len(key.encode()) <= 256:
            raise EntryTooLarge("a namespace has 1 to 64 bytes and a key 1 to 256")
        if value is not None and len(value) > 4096:
            raise EntryTooLarge(f"{space}/{key}: a value of {len(value)} B is over 4096")
        there = self.get(space, key)
        found = there.version if there else None
        if not isinstance(expect, Any) and found != expect:
            raise MapConflict(f"{space}/{key} was changed by somebody else: read it again")
        entry = wire.MapEntry(space, key, value, self._clock.next(wall_ms), self._writer)
        old = self._spaces.get(space, {}).get(key)
        if value is not None and (full := self._full(entry, old, 1)):
            raise MapFull(f"{space}/{key} does not fit: {full}")
        self._store(entry, old)
        return entry

    def _full(self, entry: wire.MapEntry, old: wire.MapEntry | None, times: int) -> str | None:
        """What has no room for the entry, if so many times the limits are allowed."""
        more, limits, space = int(old is None), self._settings, entry.space
        grows = _size(entry) - (_size(old) if old else 0)
        held, size = len(self._spaces.get(space, ())), self._sizes.get(space, 0)
        if held + more > times * limits.space_entries or size + grows > times * limits.space_bytes:
            return f"the namespace {space} is full, {held} entries, {size} B"
        count, size = self.count + more, self.size + grows
        if count > times * limits.map_entries or size > times * limits.map_bytes:
            return f"the map is full, {self.count} entries, {self.size} B"
        return None

    def merge(self, entry: wire.MapEntry, wall_ms: int) -> wire.MapEntry | None:
        """Take in another's entry; what is returned is news, to be told to the others.

        That is the entry itself, or a tombstone if it is older than what is remembered here.
        Twice the limits are a hard wall: only a member that ignores them can reach it.
        """
        if stamp_ms(entry.clock) > wall_ms + self._settings.clock_ahead * 1000:
            self.refused += 1
            return None
        old = self._spaces.get(entry.space, {}).get(entry.key)
        if old is not None and _order(entry) <= _order(old):
            return None
        if old is None and entry.clock <= self.floor and entry.writer != NOBODY:
            if entry.value is None:
                return None
            entry = wire.MapEntry(entry.space, entry.key, None, entry.clock, NOBODY)
        if self._full(entry, old, 2):
            self.refused += 1
            return None
        self._clock.saw(entry.clock)
        self._store(entry, old)
        return entry

    def _store(self, entry: wire.MapEntry, old: wire.MapEntry | None) -> None:
        bucket = bucket_of((entry.space, entry.key))
        if old is not None:
            self._drop(old)
        self._spaces.setdefault(entry.space, {})[entry.key] = entry
        self._revisions[entry.space] = next(_revision)
        self.digest.toggle(bucket, _hash(entry))
        self.size += _size(entry)
        self._sizes[entry.space] += _size(entry)
        self.count += 1

    def _drop(self, entry: wire.MapEntry) -> None:
        space = self._spaces[entry.space]
        del space[entry.key]
        self._sizes[entry.space] -= _size(entry)
        if not space:
            del self._spaces[entry.space], self._sizes[entry.space]
        self.digest.toggle(bucket_of((entry.space, entry.key)), _hash(entry))
        self.size -= _size(entry)
        self.count -= 1

    def raise_floor(self, floor: int, wall_ms: int) -> None:
        """Take over the floor of a member that holds the same entries. One that is younger than
        any tombstone that may be forgotten is a lie, or of a clock far ahead."""
        if floor <= self._oldest(wall_ms):
            self.floor = max(self.floor, floor)
        else:
            self.refused += 1

    def _oldest(self, wall_ms: int) -> int:
        return int(wall_ms - self._settings.forget_entries * 1000) << COUNTER_BITS

    def reap(self, wall_ms: int) -> None:
        """Forget tombstones older than a week."""
        oldest = self._oldest(wall_ms)
        for entry in list(self.all()):
            if entry.value is None and entry.clock < oldest:
                self._drop(entry)
                self.floor = max(self.floor, entry.clock)

    # --- exchange

    def all(self) -> Iterator[wire.MapEntry]:
        """Every entry, tombstones included."""
        for space in self._spaces.values():
            yield from space.values()

    def in_buckets(self, buckets: Iterable[int]) -> Iterator[wire.MapEntry]:
        """The entries of some buckets."""
        return _in_buckets(self.all(), buckets)

    def part(self, keys: Iterable[Key]) -> Part:
        """The entries of these keys, as far as there are any; of a whole namespace for an empty
        key."""
        found = (self._in(space, key) for space, key in keys)
        return Part(entry for entries in found for entry in entries)

    def _in(self, space: str, key: str) -> Iterable[wire.MapEntry]:
        entries = self._spaces.get(space, {})
        if not key:
            return entries.values()
        entry = entries.get(key)
        return () if entry is None else (entry,)
