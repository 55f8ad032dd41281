"""Membership and small replicated state for a mesh without a master.

`Gossip` is one member: it finds the others by seeds, tells who is alive, suspect, failed or left
within a second or two, and keeps a small map that every member holds. All of it over a few
encrypted ZeroMQ links, in the caller's asyncio loop. Nothing here knows of caches.
"""

from meshcache.gossip.config import GossipConfig
from meshcache.gossip.core import events
from meshcache.gossip.core.events import (
    Event,
    Incompatible,
    KeyRefused,
    KeysChanged,
    MapChanged,
    Member,
    MemberAlive,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberSuspect,
    MemberUpdated,
    NameConflict,
    QueryAsked,
    Standing,
    State,
    UserEvent,
    ViewChanged,
)
from meshcache.gossip.core.statemap import ANY, Entry, Version
from meshcache.gossip.errors import (
    AddressUnusable,
    DescriptorsTooFew,
    EntryTooLarge,
    GossipError,
    InvalidSettings,
    KeyNotReady,
    MapConflict,
    MapFull,
    NotRunning,
    TagsTooLarge,
)
from meshcache.gossip.gossip import Gossip
from meshcache.gossip.lag import BOUNDS as LAG_BOUNDS
from meshcache.gossip.replicated import ReplicatedMap
from meshcache.gossip.rotation import KeyHolders, KeyList, KeyStep
from meshcache.gossip.talk import Answers

__all__ = [
    "ANY",
    "LAG_BOUNDS",
    "AddressUnusable",
    "Answers",
    "DescriptorsTooFew",
    "Entry",
    "EntryTooLarge",
    "Event",
    "Gossip",
    "GossipConfig",
    "GossipError",
    "Incompatible",
    "InvalidSettings",
    "KeyHolders",
    "KeyList",
    "KeyNotReady",
    "KeyRefused",
    "KeyStep",
    "KeysChanged",
    "MapChanged",
    "MapConflict",
    "MapFull",
    "Member",
    "MemberAlive",
    "MemberFailed",
    "MemberJoined",
    "MemberLeft",
    "MemberSuspect",
    "MemberUpdated",
    "NameConflict",
    "NotRunning",
    "QueryAsked",
    "ReplicatedMap",
    "Standing",
    "State",
    "TagsTooLarge",
    "UserEvent",
    "Version",
    "ViewChanged",
    "events",
]
