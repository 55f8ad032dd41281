"""The replicated map as bytes, for a member that wants to remember it over its own restart.

Entries keep their clocks, so what was written or deleted meanwhile elsewhere wins as always. A
member that slept for longer than tombstones live brings nothing deleted back, because the others'
floors answer it with tombstones (see `core.statemap`); its own floor is kept so that it can do the
same for the next one.
"""

import msgspec

from meshcache.gossip.core.statemap import StateMap
from meshcache.gossip.errors import FrameInvalid
from meshcache.gossip.wire import MapEntry


class Saved(msgspec.Struct, frozen=True, array_like=True):
    """What `encode` writes, as msgpack."""

    floor: int
    entries: list[MapEntry]


def encode(state: StateMap) -> bytes:
    """Every entry, tombstones included."""
    return msgspec.msgpack.encode(Saved(state.floor, list(state.all())))


def decode(data: bytes) -> Saved:
    """Read what `encode` wrote.

    Raises:
        FrameInvalid: it was not, or is torn.
    """
    try:
        return msgspec.msgpack.decode(data, type=Saved)
    except (msgspec.MsgspecError, ValueError) as error:
        raise FrameInvalid(f"a saved map that cannot be read: {error}") from error
