"""Who observes whom: K hash rings over the uids of the living full members.

A member's observer in ring k is its nearest predecessor there that does not observe it in a ring
before k; so each member has K different observers, or all others in a mesh of at most K + 1. The
graph is an expander, which is why its links are also good to spread rumours on. After Rapid
(Suresh et al., ATC 2018), which lets one observer stand in several rings.

A `Rings` never changes; `changed` makes the next one.
"""

import bisect
import hashlib
import struct
import weakref
from collections.abc import Iterable

from meshcache.gossip.core.context import Dice

Place = tuple[int, bytes]


def places(uid: bytes, rings: int) -> tuple[int, ...]:
    """The place of `uid` in each ring, 64 bits each."""
    digest = hashlib.blake2b(uid, digest_size=8 * rings, person=b"meshcache rings").digest()
    return struct.unpack(f"!{rings}Q", digest)


class Rings:
    """The observers and subjects of each member of one view."""

    def __init__(self, rings: int, uids: Iterable[bytes] = ()) -> None:
        """Make the `rings` (at most 8) of these members."""
        self._rings: list[list[Place]] = [[] for _ in range(rings)]
        self.uids = frozenset(uids)
        for uid in self.uids:
            for ring, place in zip(self._rings, places(uid, rings), strict=True):
                ring.append((place, uid))
        for ring in self._rings:
            ring.sort()
        self._observers: dict[bytes, tuple[bytes, ...]] = {}
        self._next: weakref.WeakValueDictionary[tuple[frozenset[bytes], frozenset[bytes]], Rings]
        self._next = weakref.WeakValueDictionary()

    def changed(self, joined: Iterable[bytes], gone: Iterable[bytes]) -> "Rings":
        """The rings after these changes; costs a copy and a bisection each, no sorting. Many
        members in one process (a simulation) that share one view and see it change alike share the
        next one too."""
        joined, gone = frozenset(joined) - self.uids, self.uids.intersection(gone)
        new = self._next.get((joined, gone))
        if new is not None:
            return new
        new = self._next[joined, gone] = Rings(len(self._rings))
        new.uids = (self.uids | joined) - gone
        new._rings = [ring.copy() for ring in self._rings]
        for uid in gone:
            for ring, place in zip(new._rings, places(uid, len(new._rings)), strict=True):
                del ring[bisect.bisect_left(ring, (place, uid))]
        for uid in joined:
            for ring, place in zip(new._rings, places(uid, len(new._rings)), strict=True):
                bisect.insort(ring, (place, uid))
        return new

    def __len__(self) -> int:
        return len(self.uids)

    def any(self, dice: Dice) -> bytes:
        """One of the members, each as likely (there must be one)."""
        return dice.choice(self._rings[0])[1]

    def observers(self, uid: bytes) -> tuple[bytes, ...]:
        """Who observes `uid`, which need not be in the rings itself (yet, or any longer)."""
        known = self._observers.get(uid)
        if known is None:
            known = self._observers[uid] = self._find_observers(uid)
        return known

    def _find_observers(self, uid: bytes) -> tuple[bytes, ...]:
        others = len(self.uids) - (uid in self.uids)
        if others <= len(self._rings):
            return tuple(sorted(self.uids - {uid}))
        chosen: list[bytes] = []
        for ring, place in zip(self._rings, places(uid, len(self._rings)), strict=True):
            index = bisect.bisect_left(ring, (place, uid))
            while True:
                index -= 1  # from 0 on to -1, the last one: it is a ring
                candidate = ring[index][1]
                if candidate != uid and candidate not in chosen:
                    chosen.append(candidate)
                    break
        return tuple(chosen)

    def subjects(self, uid: bytes) -> frozenset[bytes]:
        """Whom `uid` observes.

        In ring k at most k predecessors are skipped, so its subject there is among the next
        k + 1 members.
        """
        if len(self.uids) - (uid in self.uids) <= len(self._rings):
            return self.uids - {uid}
        candidates: set[bytes] = set()
        for number, (ring, place) in enumerate(
            zip(self._rings, places(uid, len(self._rings)), strict=True)
        ):
            index = bisect.bisect_right(ring, (place, uid))
            candidates.update(ring[(index + step) % len(ring)][1] for step in range(number + 1))
        candidates.discard(uid)
        return frozenset(one for one in candidates if uid in self.observers(one))
