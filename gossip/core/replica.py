"""This member's copy of the replicated map: what changes in it is told to the user and the mesh."""

from collections.abc import Iterable
from dataclasses import dataclass

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.events import MapChanged
from meshcache.gossip.core.spread import Spread
from meshcache.gossip.core.statemap import Any, StateMap, Version


@dataclass
class Replica:
    """The map and its ways in and out."""

    context: Context
    map: StateMap
    spread: Spread

    def write(
        self, space: str, key: str, value: bytes | None, expect: Version | Any | None
    ) -> Version:
        """Write (or with None delete) an entry, and tell the mesh. Raises as `StateMap.write`."""
        entry = self.map.write(space, key, value, expect, self.context.wall_ms)
        self.context.emit(MapChanged(space, key))
        self.spread.publish(wire.Written(entry))
        return Version(entry.clock, entry.writer)

    def take(self, entry: wire.MapEntry, *, flood: bool = True) -> bool:
        """An entry came; True if it was news as it is. `flood`: not as a rumour, so that it has to
        be passed on here."""
        news = self.map.merge(entry, self.context.wall_ms)
        if news is None:
            return False
        self.context.emit(MapChanged(news.space, news.key))
        if flood or news is not entry:
            self.spread.publish(wire.Written(news))
        return news is entry

    def remember(self, entries: Iterable[wire.MapEntry], floor: int) -> None:
        """Take in the map that this member had before its restart; what is newer here stays."""
        for entry in entries:
            self.take(entry)
        self.map.floor = max(self.map.floor, floor)  # last: it bars what is unknown and older
