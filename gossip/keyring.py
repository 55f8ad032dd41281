"""The mesh keys that one member accepts, the one in use first."""

from collections.abc import Sequence

from meshcache.gossip.errors import InvalidSettings
from meshcache.gossip.keys import CurveKeys, derive

MOST = 8
"""Keys held at the same time. A rotation needs two."""


class KeyRing:
    """Keys by id, in the order in which they are tried."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Begin with these keys, the first of them in use.

        Raises:
            InvalidSettings: none, more than 8, or one of fewer than 16 bytes.
        """
        if not 0 < len(keys) <= MOST:
            raise InvalidSettings(f"a member holds 1 to {MOST} mesh keys, not {len(keys)}")
        self._keys = {derived.id: (derived, key) for key in keys for derived in (derive(key),)}

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
