"""The records of loads in gossip's map: read with few decodings, written with retries."""

from collections.abc import Callable, Mapping

import msgspec
import structlog

from meshcache.agent.loads.record import LOADS, PROGRESS, Load, Report
from meshcache.agent.mesh.space import Space
from meshcache.errors import InvalidInput, LoadExists, NotFound
from meshcache.gossip import EntryTooLarge, MapConflict, MapFull, ReplicatedMap

log = structlog.get_logger()

MAX_REPORT = 3500
"""Bytes of a member's report: an entry has at most 4096."""

MAX_LOADS = 1000
"""Loads that the mesh remembers, whatever their state."""


class Book:
    """What there is to know of the loads."""

    def __init__(self, map_: ReplicatedMap) -> None:
        self._map = map_
        self._loads = Space(map_, LOADS, Load)
        self._reports = Space(map_, PROGRESS, Report)
        self._written = b""

    def loads(self) -> Mapping[str, Load]:
        """Name -> load; without those that this version cannot read."""
        return self._loads.all()

    def load(self, name: str) -> Load:
        """One load.

        Raises:
            NotFound: there is none of that name.
        """
        found = self._loads.find(name)
        if found is None:
            raise NotFound(f"no load {name!r}: see `meshcache loads`")
        return found

    def reports(self) -> Mapping[str, Report]:
        """Store id -> what that member wrote."""
        return self._reports.all()

    def add(self, load: Load) -> None:
        """Write a new load.

        Raises:
            LoadExists: there is one of that name.
            InvalidInput: there is no room for one more.
        """
        if len(self._map.items(LOADS)) >= MAX_LOADS:
            raise InvalidInput(f"the mesh has {MAX_LOADS} loads: delete some")
        try:
            self._map.put(LOADS, load.name, msgspec.msgpack.encode(load), expect=None)
        except MapConflict as error:
            raise LoadExists(f"load {load.name!r} exists already: delete it first") from error
        except (EntryTooLarge, MapFull) as error:
            raise InvalidInput(str(error)) from error

    def change(self, load: Load, change: Callable[[Load], Load | None]) -> None:
        """Write a changed record; `change` gets what is there now, and None leaves it so.

        Nothing is done if the load is gone or was made anew.
        """
        entry = self._map.get(LOADS, load.name)
        there = self._loads.find(load.name)
        if entry is None or there is None or there.uid != load.uid:
            return
        changed = change(there)
        if changed is None or changed == there:
            return
        try:
            self._map.put(LOADS, load.name, msgspec.msgpack.encode(changed), expect=entry.version)
        except (EntryTooLarge, MapFull) as error:
            log.warning("load not changed", load=load.name, error=str(error))

    def delete(self, name: str) -> None:
        """Forget a load. Fine if there is none."""
        self._map.delete(LOADS, name)

    def write(self, store_id: str, report: Report) -> None:
        """Write this member's progress; of what does not fit, the oldest is left out."""
        data = msgspec.msgpack.encode(report)
        while len(data) > MAX_REPORT:
            report = Report(report.member, report.loads[1:])
            data = msgspec.msgpack.encode(report)
        if data == self._written:
            return
        try:
            self._map.put(PROGRESS, store_id, data)
            self._written = data
        except (EntryTooLarge, MapFull) as error:
            log.warning("progress not written", error=str(error))

    def drop_report(self, store_id: str) -> None:
        """Forget what a member wrote."""
        self._map.delete(PROGRESS, store_id)
