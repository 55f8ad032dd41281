"""The mesh keys that one member accepts, the one in use first."""

from collections.abc import Mapping, Sequence

from meshcache.gossip.core.statemap import Key
from meshcache.gossip.errors import InvalidSettings
from meshcache.gossip.keys import CurveKeys, client_public, derive

GUEST = "guest:"
MOST = 8
"""Keys held at the same time. A rotation needs two."""


class KeyRing:
    """Keys by id, in the order in which they are tried."""

    def __init__(self, keys: Sequence[bytes], *, mesh: bytes = b"") -> None:
        """Begin with these keys, the first of them in use. `mesh` is the mesh's public key, 32
        bytes, where the keys are a guest's.

        Raises:
            InvalidSettings: none, more than 8, or one of fewer than 16 bytes.
        """
        if not 0 < len(keys) <= MOST:
            raise InvalidSettings(f"a member holds 1 to {MOST} mesh keys, not {len(keys)}")
        made = [(derive(key, mesh), key) for key in keys]
        self._keys = {derived.id: (derived, key) for derived, key in made}
        self._guests: dict[bytes, tuple[bytes, str]] = {}
        """CURVE key -> (secret, name): that is 0.1 ms of arithmetic for each, done once."""
        self._shown: Mapping[str, frozenset[Key]] | None = None

    @property
    def derived(self) -> list[CurveKeys]:
        """The CURVE keys, the one in use first."""
        return [derived for derived, _ in self._keys.values()]

    @property
    def ids(self) -> list[str]:
        """The ids of the keys (they do not reveal them), the one in use first."""
        return list(self._keys)

    @property
    def secrets(self) -> list[bytes]:
        """The mesh keys themselves, the one in use first."""
        return [key for _, key in self._keys.values()]

    def admit(
        self, guests: Mapping[bytes, str], shown: Mapping[str, frozenset[Key]] | None = None
    ) -> None:
        """As `Gossip.admit`."""
        self._shown = shown
        known = {key: public for public, (key, _) in self._guests.items()}
        self._guests = {
            known.get(key) or client_public(key): (key, name) for key, name in guests.items()
        }

    def shown_to(self, name: str) -> frozenset[Key] | None:
        """What guests of this name see of the map: as `Gossip.admit`."""
        return None if self._shown is None else self._shown.get(name, frozenset())

    def user_of(self, public: bytes) -> str | None:
        """Who shows this CURVE key (32 bytes): the id of a mesh key, ``guest:NAME``, or nobody."""
        for derived, _ in self._keys.values():
            if derived.client.raw_public == public:
                return derived.id
        guest = self._guests.get(public)
        return None if guest is None else GUEST + guest[1]

    def accepts(self, user: str) -> bool:
        """Whether what `user_of` called so is still let in."""
        if user.startswith(GUEST):
            return any(user == GUEST + name for _, name in self._guests.values())
        return user in self._keys

    def find(self, identity: str) -> CurveKeys:
        """The CURVE keys of an installed mesh key.

        Raises:
            InvalidSettings: no key of this id is installed.
        """
        if identity not in self._keys:
            raise InvalidSettings(f"no key {identity} is installed: install it first")
        return self._keys[identity][0]

    def install(self, key: bytes) -> str:
        """Add a key; its id. Installing it again changes nothing.

        Raises:
            InvalidSettings: fewer than 16 bytes, or there are 8 keys already.
        """
        derived = derive(key)
        if derived.id not in self._keys and len(self._keys) >= MOST:
            raise InvalidSettings(f"there are {MOST} keys already: remove one first")
        self._keys.setdefault(derived.id, (derived, key))
        return derived.id

    def use(self, identity: str) -> None:
        """Put a key first.

        Raises:
            InvalidSettings: no key of this id is installed.
        """
        self.find(identity)
        self._keys = {identity: self._keys.pop(identity), **self._keys}

    def remove(self, identity: str) -> None:
        """Drop a key that is not in use. There is nothing to do if it is not installed.

        Raises:
            InvalidSettings: it is the one in use.
        """
        if identity == self.ids[0]:
            raise InvalidSettings(f"key {identity} is in use: use another before removing it")
        self._keys.pop(identity, None)
