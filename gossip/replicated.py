"""The replicated map, as users of a `Gossip` have it."""

from collections.abc import Callable

from meshcache.gossip import saved
from meshcache.gossip.core.events import Event, MapChanged
from meshcache.gossip.core.statemap import ANY, Entry, Version
from meshcache.gossip.core.statemap import Any as AnyVersion
from meshcache.gossip.driver import Driver


class ReplicatedMap:
    """Small entries that every member holds."""

    def __init__(
        self,
        driver: Callable[[], Driver],
        subscribe: Callable[[Callable[[Event], None]], Callable[[], None]],
    ) -> None:
        """The map of the member that `driver` gives; `subscribe` is that of its `Gossip`."""
        self._driver = driver
        self._subscribe = subscribe

    def put(
        self,
        namespace: str,
        key: str,
        value: bytes,
        *,
        expect: Version | AnyVersion | None = ANY,
    ) -> Version:
        """Write an entry here; the mesh learns it by itself.

        `expect`: the version that the writer has read, None if there must be none, ANY to
        overwrite. It is compared with what this member knows: of two members that write at the
        same time the later clock wins everywhere.

        Raises:
            MapConflict: the entry is not as expected.
            EntryTooLarge: namespace over 64, key over 256 or value over 4096 bytes.
            MapFull: no room for one more.
            NotRunning: not started, or left.
        """
        return self._write(namespace, key, value, expect)

    def delete(
        self, namespace: str, key: str, *, expect: Version | AnyVersion | None = ANY
    ) -> None:
        """Delete an entry; fine if there is none (unless a version is expected).

        Raises:
            MapConflict, NotRunning: as `put`.
        """
        if self.get(namespace, key) is not None or not isinstance(expect, AnyVersion):
            self._write(namespace, key, None, expect)

    def _write(
        self, space: str, key: str, value: bytes | None, expect: Version | AnyVersion | None
    ) -> Version:
        driver = self._driver()
        version = driver.node.write(space, key, value, expect, driver.now)
        driver.pump()
        return version

    def get(self, namespace: str, key: str) -> Entry | None:
        """The entry as this member knows it."""
        return self._driver().node.map.get(namespace, key)

    def items(self, namespace: str) -> list[tuple[str, Entry]]:
        """All entries of a namespace, sorted by key."""
        return self._driver().node.map.items(namespace)

    def revision(self, namespace: str) -> int:
        """Another number after each change of a namespace: what was made of `items` is still true
        while it is the same."""
        return self._driver().node.map.revision(namespace)

    def watch(
        self, namespace: str, callback: Callable[[str, Entry | None], None], *, prefix: str = ""
    ) -> Callable[[], None]:
        """Have `callback` called on the loop with (key, entry) for each change from now on of a
        key of this namespace that begins with `prefix`; the entry is None if it was deleted. The
        answer ends that."""

        def tell(event: Event) -> None:
            if not isinstance(event, MapChanged) or event.namespace != namespace:
                return
            if event.key.startswith(prefix):
                callback(event.key, self.get(namespace, event.key))

        return self._subscribe(tell)

    def dump(self) -> bytes:
        """The whole map, for `load` after this member's next start."""
        return saved.encode(self._driver().node.map)

    def load(self, data: bytes) -> None:
        """Take in what `dump` gave; whatever is newer in the mesh wins.

        Raises:
            FrameInvalid: the bytes are no dump; nothing was taken in.
        """
        driver, remembered = self._driver(), saved.decode(data)
        driver.node.remember(remembered.entries, remembered.floor, driver.now)
        driver.pump()
