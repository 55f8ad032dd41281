"""The mesh keys that one member accepts, the one in use first."""

from meshcache.gossip.errors import InvalidSettings
from meshcache.gossip.keys import CurveKeys, derive


class KeyRing:
    """Keys by id, in the order in which they are tried."""

    def __init__(self, key: bytes) -> None:
        """Begin with one key, in use.

        Raises:
            InvalidSettings: fewer than 16 bytes.
        """
        self._keys = [derive(key)]

    @property
    def derived(self) -> list[CurveKeys]:
        """The CURVE keys, the one in use first."""
        return list(self._keys)

    @property
    def ids(self) -> list[str]:
        """The ids of the keys (they do not reveal them), the one in use first."""
        return [keys.id for keys in self._keys]

    def install(self, key: bytes) -> str:
        """Add a key; its id. Installing it again changes nothing."""
        keys = derive(key)
        if keys not in self._keys:
            self._keys.append(keys)
        return keys.id

    def _find(self, identity: str) -> CurveKeys:
        for keys in self._keys:
            if keys.id == identity:
                return keys
        raise InvalidSettings(f"no key {identity} is installed: install it first")

    def use(self, identity: str) -> None:
        """Put a key first."""
        keys = self._find(identity)
        self._keys.remove(keys)
        self._keys.insert(0, keys)

    def remove(self, identity: str) -> None:
        """Drop a key that is not in use."""
        keys = self._find(identity)
        if keys is self._keys[0]:
            raise InvalidSettings(f"key {identity} is in use: use another before removing it")
        self._keys.remove(keys)
