"""What a member of the mesh is started with."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from meshcache.gossip.core.settings import PROFILES, Settings
from meshcache.gossip.errors import InvalidSettings

ROLES = {"full": 0, "leaf": 1}


@dataclass(frozen=True, kw_only=True)
class GossipConfig:
    """The settings of one `Gossip`."""

    name: str
    """A label for people, at most 128 characters. Two members may have the same; the uid counts."""
    key: bytes
    """The mesh key, at least 16 bytes. Who holds it is a member."""
    other_keys: Sequence[bytes] = ()
    """More keys that are accepted, and tried where the first is refused: while keys are changed."""
    mesh_public: bytes = b""
    """The mesh's public key (32 bytes, `gossip.keys.public_of`), where `key` is a guest's."""
    bind: tuple[str, int] = ("127.0.0.1", 0)
    """Host and port to listen at. Port 0: any; `Gossip.address` tells which."""
    advertise: tuple[str, int] | None = None
    """Where others reach this member, if that is not `bind`. Port 0: the bound one. Without it, a
    wildcard bind advertises the address from which the first seed would be reached."""
    seeds: list[str] = field(default_factory=list)
    """``host:port`` of members to join by; DNS names are looked up again for ever."""
    role: str = "full"
    """``full``, or ``leaf``: served by two full members, takes part in nothing."""
    keep_keys: Callable[[list[bytes]], Awaitable[None]] | None = None
    """Called with all mesh keys, the one in use first, whenever they change, before the change is
    acknowledged: to remember them over a restart. It must not raise."""
    tags: dict[str, str] = field(default_factory=dict)
    """What others should know of this member; at most 512 B of names and values."""
    mesh: str = "meshcache"
    """Keeps two meshes apart that were given one key by mistake."""
    profile: str = "lan"
    """``lan``, ``wan`` or ``local``: all times at once (see `core.settings`)."""
    settings: Settings | None = None
    """Times and limits one by one, in place of a profile."""

    def timings(self) -> Settings:
        """The times and limits in force.

        Raises:
            InvalidSettings: no such profile.
        """
        if self.settings is not None:
            return self.settings
        if self.profile not in PROFILES:
            raise InvalidSettings(f"no profile {self.profile!r}: choose from {', '.join(PROFILES)}")
        return PROFILES[self.profile]
