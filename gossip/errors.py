"""What can go wrong in gossip, named by situation and by whose fault it is.

A small family of its own: the package imports nothing of meshcache, so that it can be used alone.
Nothing that another member sends raises out of the package: a bad frame is counted and dropped.
"""


class GossipError(Exception):
    """The base of all errors of gossip. Never raised itself."""


class InvalidSettings(GossipError):
    """Raised when an address, a key, a tag or another setting cannot be used. Nothing was begun."""


class AddressUnusable(GossipError):
    """Raised at start when the bind address is taken or not of this machine. Nothing is bound."""


class DescriptorsTooFew(GossipError):
    """Raised at start when the process may open too few files for the links that it may need:
    libzmq aborts or spins when descriptors run out, so the start is refused instead."""


class NotRunning(GossipError):
    """Raised when a member that was not started, or has left, is asked to do something."""


class TagsTooLarge(GossipError):
    """Raised when tags would be more than the limit (512 B). The old ones stay."""


class MapConflict(GossipError):
    """Raised when an entry's version is not the one that the writer expected; nothing written."""


class KeyNotReady(GossipError):
    """Raised when a step of a key rotation would cut members off; nothing was changed."""


class EntryTooLarge(GossipError):
    """Raised when a namespace, a key or a value is longer than its limit; nothing written."""


class MapFull(GossipError):
    """Raised when the replicated map has no room for one more entry; nothing written."""


class FrameInvalid(GossipError):
    """Raised by the codec for bytes that are no frame of this mesh and version. Nothing changes."""


class OtherVersion(FrameInvalid):
    """Raised by the codec for a frame of a version that this program cannot read at all."""
