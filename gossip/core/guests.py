"""Guests: leaves that hold no mesh key. What they may say, and what they see of the map.

A guest comes over a link of its own kind, by a key that the mesh's members have admitted under a
name (`meshcache.gossip.keyring`). It is given the table of members, but of the map only the entries
that its name is shown; neither the others nor their names, sizes or number reach it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from meshcache.gossip import wire
from meshcache.gossip.core.statemap import Key
from meshcache.gossip.core.table import LEAF

Shown = Callable[[str], frozenset[Key] | None]
"""A guest's name -> the (namespace, key) of the entries that it sees, the key empty for all of a
namespace; None: all there are."""

_SAID = (
    wire.Beat,
    wire.Probe,
    wire.Probed,
    wire.Goaway,
    wire.Graft,
    wire.Prune,
    wire.Digest,
    wire.Differ,
)


def admissible(message: wire.Message) -> wire.Message | None:
    """What counts of a guest's message: that it is there, and what it lacks. It says nothing of
    others, and writes nothing."""
    match message:
        case wire.Hello(record=record):
            return message if record.role == LEAF else None
        case wire.Rows(want_members=members, want_entries=entries):
            return wire.Rows([], [], members, entries) if members or entries else None
    return message if isinstance(message, _SAID) else None


@dataclass
class Guests:
    """The links of one node over which guests come."""

    shown: Shown = field(default=lambda name: None)
    _names: dict[int, str] = field(default_factory=dict)

    def add(self, number: int, name: str) -> None:
        """Over this link comes a guest that was admitted under this name."""
        self._names[number] = name

    def discard(self, number: int) -> None:
        """The link ended."""
        self._names.pop(number, None)

    def __contains__(self, number: int) -> bool:
        return number in self._names

    def sees(self, number: int) -> frozenset[Key] | None:
        """The entries of the map that may go over a link; None: all."""
        name = self._names.get(number)
        return None if name is None else self.shown(name)

    def may_hear(self, number: int, about: tuple[object, ...]) -> bool:
        """Whether a rumour may go over a link; `about` is its key (`rumours.key_of`)."""
        if number not in self._names:
            return True
        match about:
            case (_, "event", *_):
                return False  # what members say to each other, the change of keys among it
            case (_, "entry", str(space), str(key)):
                seen = self.sees(number)
                return seen is None or not seen.isdisjoint({(space, key), (space, "")})
        return True
