"""Containers laid over others that never change: copy on write, for many that begin alike."""

from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSet,
)
from collections.abc import Set as AbstractSet
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _Items(ItemsView[K, V]):
    """Looking through all values copies none."""

    def __init__(self, overlay: "Overlay[K, V]") -> None:
        super().__init__(overlay)
        self._overlay = overlay

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._overlay.pairs()


class Overlay(MutableMapping[K, V]):
    """A dictionary over another one. A value is copied up when it is asked for by its key, so it
    may be changed then; those of `items` are only to be looked at."""

    __slots__ = ("_base", "_copy", "_hidden", "_own")

    def __init__(self, base: Mapping[K, V], copy: Callable[[V], V]) -> None:
        """Hold what `base` holds."""
        self._base = base
        self._copy = copy
        self._own: dict[K, V] = {}
        self._hidden: set[K] = set()

    def __getitem__(self, key: K) -> V:
        value = self._own.get(key)
        if value is None:
            if key in self._hidden:
                raise KeyError(key)
            value = self._own[key] = self._copy(self._base[key])
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self._own[key] = value
        self._hidden.discard(key)

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self._own.pop(key, None)
        if key in self._base:
            self._hidden.add(key)

    def __contains__(self, key: object) -> bool:
        return key in self._own or (key in self._base and key not in self._hidden)

    def __iter__(self) -> Iterator[K]:
        return (key for key, _ in self.pairs())

    def __len__(self) -> int:
        return len(self._base) - len(self._hidden) + sum(key not in self._base for key in self._own)

    def items(self) -> ItemsView[K, V]:
        """All keys and values, none of them copied."""
        return _Items(self)

    def pairs(self) -> Iterator[tuple[K, V]]:
        """The same, one after another."""
        for key, value in self._base.items():
            if key not in self._hidden:
                yield key, self._own.get(key, value)
        for key, value in self._own.items():
            if key not in self._base:
                yield key, value


class OverlaySet(MutableSet[K]):
    """A set over another one."""

    __slots__ = ("_added", "_base", "_removed")

    def __init__(self, base: AbstractSet[K]) -> None:
        """Hold what `base` holds."""
        self._base = base
        self._added: set[K] = set()
        self._removed: set[K] = set()

    @classmethod
    def _from_iterable(cls, it: Iterable[K]) -> set[K]:  # type: ignore[override]
        return set(it)  # what is made of it is a plain set

    def __contains__(self, item: object) -> bool:
        return (item in self._base and item not in self._removed) or item in self._added

    def __iter__(self) -> Iterator[K]:
        yield from (item for item in self._base if item not in self._removed)
        yield from self._added

    def __len__(self) -> int:
        return len(self._base) - len(self._removed) + len(self._added)

    def add(self, value: K) -> None:
        """Put an item in."""
        self._removed.discard(value)
        if value not in self._base:
            self._added.add(value)

    def discard(self, value: K) -> None:
        """Take an item out, if it is there."""
        self._added.discard(value)
        if value in self._base:
            self._removed.add(value)
