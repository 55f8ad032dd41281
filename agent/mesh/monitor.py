"""What happens in the mesh, for those who watch: gossip's events as records, and who gets them.

Each watcher has a queue with a limit. One that does not read is cut off and told so: gossip never
waits for anybody.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from meshcache.errors import TooManyWatchers
from meshcache.gossip import Gossip, events

WORDS: dict[type[events.Event], str] = {
    events.MemberJoined: "joined",
    events.MemberUpdated: "updated",
    events.MemberSuspect: "suspect",
    events.MemberAlive: "alive",
    events.MemberFailed: "failed",
    events.MemberLeft: "left",
    events.NameConflict: "name-conflict",
    events.Incompatible: "incompatible",
}
"""Gossip's event about a member -> what it is called for users."""

KINDS = ("member", "view", "map", "keys", "event")
"""What can be asked for."""

QUEUE = 1024
"""Records kept for one watcher."""

WATCHERS = 64
"""Watchers at the same time."""

TAKEN_WITHIN = 60.0
"""Seconds that a watcher has to take what is written to it."""

LAST_WORDS_WITHIN = 2.0
"""Seconds that it has to take what is written to it at the end."""

Record = dict[str, Any]


class Watcher:
    """One who watches."""

    def __init__(self, kinds: Collection[str]) -> None:
        self._kinds = frozenset(kinds)
        self._queue: deque[Record] = deque()
        self._news = asyncio.Event()
        self._patience: asyncio.Timeout | None = None
        self.ended = ""
        """Why nothing more comes; empty as long as it does."""

    def put(self, record: Record) -> bool:
        """Give it a record, if it asked for that kind; False if this was one too many."""
        if self.ended or record["kind"] not in self._kinds:
            return True
        if len(self._queue) >= QUEUE:
            self.end(f"cut off: {QUEUE} events were waiting, and more came than were read")
            return False
        self._queue.append(record)
        self._news.set()
        return True

    def end(self, reason: str) -> None:
        """Nothing more comes; whoever writes to it now has a last moment for that."""
        self.ended = reason
        self._news.set()
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time() + LAST_WORDS_WITHIN)

    async def take(self, within: float) -> list[Record]:
        """What came since the last time; nothing if nothing comes within so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._news.wait()
        except TimeoutError:
            return []
        self._news.clear()
        records = list(self._queue)
        self._queue.clear()
        return records

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """Limits what writes to it.

        Raises:
            TimeoutError: it does not read.
        """
        try:
            async with asyncio.timeout(LAST_WORDS_WITHIN if self.ended else TAKEN_WITHIN) as limit:
                self._patience = limit
                yield
        finally:
            self._patience = None


class Monitor:
    """Gives gossip's events to all who watch."""

    def __init__(self, gossip: Gossip, *, now: Callable[[], float] = time.time) -> None:
        self._gossip = gossip
        self._now = now
        self._watchers: set[Watcher] = set()
        self.cut_off = 0
        """Watchers that were too slow, since the start."""

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return len(self._watchers)

    @contextmanager
    def watch(self, kinds: Collection[str]) -> Iterator[Watcher]:
        """Watch as long as the context lasts.

        Raises:
            TooManyWatchers: there are 64 already.
        """
        if len(self._watchers) >= WATCHERS:
            raise TooManyWatchers(
                f"{WATCHERS} watch this agent already: end one, or ask another agent"
            )
        watcher = Watcher(kinds)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def end(self, reason: str) -> None:
        """Nothing more comes for anybody."""
        for watcher in self._watchers:
            watcher.end(reason)

    def on_event(self, event: events.Event) -> None:
        """An event of gossip's."""
        if not self._watchers:
            return
        record = self._record(event)
        if record is not None:
            record["time"] = self._now()
            for watcher in list(self._watchers):
                if not watcher.put(record):
                    self.cut_off += 1

    def _record(self, event: events.Event) -> Record | None:
        """The event for people; None if it is none for them."""
        word = WORDS.get(type(event), "")
        match event:
            case events.NameConflict(name=name, uids=uids):
                return {"kind": "member", "event": word, "name": name, "uids": list(uids)}
            case events.Incompatible(address=address, detail=detail):
                return {"kind": "member", "event": word, "address": address, "detail": detail}
            case events.ViewChanged(members=members):
                return {"kind": "view", "event": "changed", "members": members}
            case events.MapChanged(namespace=space, key=key):
                there = self._gossip.map.get(space, key) is not None
                change = "written" if there else "deleted"
                return {"kind": "map", "event": change, "namespace": space, "key": key}
            case events.KeyRefused(address=address):
                return {"kind": "keys", "event": "refused", "address": address}
            case events.KeysChanged(ids=ids):
                return {"kind": "keys", "event": "changed", "ids": list(ids)}
            case events.UserEvent(origin=origin, name=name, payload=payload):
                text = payload.decode("utf-8", "replace")
                return {
                    "kind": "event",
                    "event": "user",
                    "name": name,
                    "uid": origin,
                    "payload": text,
                }
            case (
                events.MemberJoined(member=member)
                | events.MemberUpdated(member=member)
                | events.MemberSuspect(member=member)
                | events.MemberAlive(member=member)
                | events.MemberFailed(member=member)
                | events.MemberLeft(member=member)
            ):
                return {"kind": "member", "event": word, **_member(member)}
        return None


def _member(member: events.Member) -> Record:
    return {
        "name": member.name,
        "uid": member.uid,
        "gossip": member.address,
        "role": member.tags.get("role", ""),
        "zone": member.tags.get("zone", ""),
        "incarnation": member.incarnation,
    }
