"""A namespace of the replicated map as values: each entry is decoded once, when first read."""

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec
import structlog

from meshcache.errors import InvalidInput
from meshcache.gossip import ReplicatedMap, Version

log = structlog.get_logger()

T = TypeVar("T")


class Space(Generic[T]):
    """The entries of one namespace, as values of one type in MessagePack.

    A mesh may have a thousand records, and each change of one has every member look at all: what
    did not change must cost no decoding.
    """

    def __init__(self, map_: ReplicatedMap, namespace: str, kind: type[T]) -> None:
        self._map = map_
        self._namespace = namespace
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._decoded: dict[str, tuple[Version, T | None]] = {}
        self._values: dict[str, T] = {}
        self._revision = 0

    def find(self, key: str) -> T | None:
        """The value of an entry; None if there is none, or none that this version can read."""
        return self.all().get(key)

    def all(self) -> Mapping[str, T]:
        """Key -> value, sorted by key; without those that this version cannot read."""
        revision = self._map.revision(self._namespace)
        if revision != self._revision:
            before, self._decoded = self._decoded, {}
            for key, entry in self._map.items(self._namespace):
                known = before.get(key)
                if known is None or known[0] != entry.version:
                    known = entry.version, self._decode(key, entry.value)
                self._decoded[key] = known
            self._values = {
                key: value for key, (_, value) in self._decoded.items() if value is not None
            }
            self._revision = revision
        return self._values

    def _decode(self, key: str, data: bytes) -> T | None:
        try:
            return self._decoder.decode(data)
        except (msgspec.MsgspecError, InvalidInput) as error:
            log.warning("a record cannot be read", space=self._namespace, key=key, error=str(error))
            return None
