"""Who observes whom: K hash rings over the uids of the living full members, aware of zones.

A member's observer in ring k is its nearest predecessor there that does not observe it in a ring
before k; so each member has K different observers, or all others in a mesh of at most K + 1. The
graph is an expander, which is why its links are also good to spread rumours on. After Rapid
(Suresh et al., ATC 2018), which lets one observer stand in several rings.

Where members say in which zone they are, the first two observers are of the member's own zone (so
that a cut between zones leaves it two who hear it), and the others are taken from the next few
predecessors so that as many zones as possible see it: of a zone not chosen yet, then a second of
one, then a third of its own, and a third of another only if there is nothing else (so that no other
zone has a majority against it). All of it follows from the uids and zones alone.

A `Rings` never changes; `changed` makes the next one.
"""

import bisect
import hashlib
import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import islice
from typing import Final
from weakref import WeakValueDictionary

from meshcache.gossip.core.context import Dice

NEAR: Final = 2
"""Observers of a member's own zone, where it has so many others."""
WINDOW: Final = 8
"""Predecessors among which an observer of a wished-for zone is looked for. Without this bound the
few members of a small zone would observe all the others."""


def places(uid: bytes, rings: int) -> tuple[int, ...]:
    """The place of `uid` in each ring, 64 bits each."""
    digest = hashlib.blake2b(uid, digest_size=8 * rings, person=b"meshcache rings").digest()
    return struct.unpack(f"!{rings}Q", digest)


_Change = tuple[frozenset[tuple[bytes, str]], frozenset[bytes]]


class _Ring:
    """Uids in the order of their places (and, of two at one place, of themselves)."""

    __slots__ = ("places", "uids")

    def __init__(self, pairs: Iterable[tuple[int, bytes]] = ()) -> None:
        ordered = sorted(pairs)
        self.places = array("Q", [place for place, _ in ordered])
        self.uids = [uid for _, uid in ordered]

    def index(self, place: int, uid: bytes) -> int:
        """Where `uid` stands, or would."""
        index = bisect.bisect_left(self.places, place)
        while index < len(self.uids) and self.places[index] == place and self.uids[index] < uid:
            index += 1
        return index

    def add(self, place: int, uid: bytes) -> None:
        index = self.index(place, uid)
        self.places.insert(index, place)
        self.uids.insert(index, uid)

    def remove(self, place: int, uid: bytes) -> None:
        index = self.index(place, uid)
        del self.places[index], self.uids[index]

    def copy(self) -> "_Ring":
        new = _Ring()
        new.places, new.uids = self.places[:], self.uids.copy()
        return new

    def before(self, place: int, uid: bytes) -> Iterator[bytes]:
        """All others, the nearest predecessor first."""
        index = self.index(place, uid)
        here = index < len(self.uids) and self.uids[index] == uid
        for step in range(1, len(self.uids) + (not here)):
            yield self.uids[index - step]  # below 0 it counts from the end: it is a ring

    def after(self, place: int, uid: bytes, count: int) -> Iterator[bytes]:
        """The next so many successors (or all others)."""
        index = self.index(place, uid)
        here = index < len(self.uids) and self.uids[index] == uid
        index, others = index + here, len(self.uids) - here
        for step in range(min(count, others)):
            yield self.uids[(index + step) % len(self.uids)]


class Rings:
    """The observers and subjects of each member of one view."""

    def __init__(self, rings: int, zones: Mapping[bytes, str] | None = None) -> None:
        """Make the `rings` (at most 8) of these members; each uid with its zone, maybe empty."""
        self.count = rings
        self.zones: dict[bytes, str] = dict(zones or {})
        pairs: list[list[tuple[int, bytes]]] = [[] for _ in range(rings)]
        for uid in self.zones:
            for ring, place in zip(pairs, places(uid, rings), strict=True):
                ring.append((place, uid))
        self._rings = [_Ring(ring) for ring in pairs]
        self._near: dict[str, list[_Ring]] = {}
        for zone in set(self.zones.values()):
            self._near[zone] = [
                _Ring((place, uid) for place, uid in ring if self.zones[uid] == zone)
                for ring in pairs[:NEAR]
            ]
        self._observers: dict[bytes, tuple[bytes, ...]] = {}
        self._next: WeakValueDictionary[_Change, Rings] = WeakValueDictionary()

    def changed(self, joined: Mapping[bytes, str], gone: Iterable[bytes]) -> "Rings":
        """The rings after these changes (who moves to another zone has joined); costs a copy and a
        bisection each, no sorting. Many members in one process (a simulation) that share one view
        and see it change alike share the next one too."""
        out = frozenset(uid for uid in (*gone, *joined) if uid in self.zones)
        change = frozenset(joined.items()), out
        new = self._next.get(change)
        if new is None:
            new = self._next[change] = self._with(joined, out)
        return new

    def _with(self, joined: Mapping[bytes, str], out: frozenset[bytes]) -> "Rings":
        zones = {uid: zone for uid, zone in self.zones.items() if uid not in out}
        zones.update(joined)
        if len(joined) > 32 + len(self.zones) // 8:
            return Rings(self.count, zones)
        new = Rings(self.count)
        new.zones = zones
        new._rings = [ring.copy() for ring in self._rings]
        new._near = self._near.copy()
        for zone in {self.zones[uid] for uid in out} | set(joined.values()):
            old = self._near.get(zone)
            empty = [_Ring() for _ in range(min(NEAR, self.count))]
            new._near[zone] = empty if old is None else [ring.copy() for ring in old]
        for uid in out:
            near = new._near[self.zones[uid]]
            where = places(uid, self.count)
            for ring, place in zip((*new._rings, *near), (*where, *where[:NEAR]), strict=True):
                ring.remove(place, uid)
        for uid, zone in joined.items():
            where = places(uid, self.count)
            near = new._near[zone]
            for ring, place in zip((*new._rings, *near), (*where, *where[:NEAR]), strict=True):
                ring.add(place, uid)
        for zone in [zone for zone, near in new._near.items() if near and not near[0].uids]:
            del new._near[zone]
        return new

    @property
    def uids(self) -> Set[bytes]:
        """Who is in the rings."""
        return self.zones.keys()

    def __len__(self) -> int:
        return len(self.zones)

    def any(self, dice: Dice) -> bytes:
        """One of the members, each as likely (there must be one)."""
        return dice.choice(self._rings[0].uids)

    def observers(self, uid: bytes) -> tuple[bytes, ...]:
        """Who observes `uid`, which need not be in the rings itself (yet, or any longer)."""
        known = self._observers.get(uid)
        if known is None:
            known = self._observers[uid] = self._find_observers(uid)
        return known

    def _find_observers(self, uid: bytes) -> tuple[bytes, ...]:
        if self._all_observe(uid):
            return tuple(sorted(self.zones.keys() - {uid}))
        zone = self.zones.get(uid)
        chosen: list[bytes] = []
        for number, place in enumerate(places(uid, self.count)):
            found = None
            if zone is not None and number < NEAR:
                near = self._near[zone][number].before(place, uid)
                found = next((one for one in near if one not in chosen), None)
            if found is None:
                others = self._rings[number].before(place, uid)
                free = (one for one in others if one not in chosen)
                if zone is None or len(self._near) == 1:
                    found = next(free)
                else:
                    found = self._best(zone, chosen, list(islice(free, WINDOW)))
            chosen.append(found)
        return tuple(chosen)

    def _best(self, own: str, chosen: list[bytes], candidates: list[bytes]) -> bytes:
        """The first of the candidates whose zone is wanted most."""
        zones = [self.zones[one] for one in chosen]

        def rank(candidate: bytes) -> int:
            zone = self.zones[candidate]
            had = zones.count(zone)
            if zone == own:
                return 0 if had < NEAR else 2
            return had if had < 2 else 3

        return min(candidates, key=rank)

    def _all_observe(self, uid: bytes) -> bool:
        return len(self.zones) - (uid in self.zones) <= self.count

    def subjects(self, uid: bytes) -> frozenset[bytes]:
        """Whom `uid` observes.

        In ring k at most k predecessors are skipped, and `WINDOW` looked at, so its subjects there
        are among the next k + `WINDOW` members (k + 1 where zones play no part).
        """
        if self._all_observe(uid):
            return frozenset(self.zones.keys() - {uid})
        candidates: set[bytes] = set()
        near = self._near.get(self.zones.get(uid, ""), [])
        reach = 1 if len(self._near) == 1 else WINDOW
        for number, place in enumerate(places(uid, self.count)):
            candidates.update(self._rings[number].after(place, uid, number + reach))
            if number < len(near):
                candidates.update(near[number].after(place, uid, number + 1))
        return frozenset(one for one in candidates if uid in self.observers(one))
