"""Keys of the origin that are shown as no file, and why."""

from collections import Counter
from dataclasses import dataclass, field

MAX_SKIPPED = 10_000
"""Keys that a snapshot names, the first by order; beyond that they are only counted."""


@dataclass
class Skipped:
    """The keys that are shown as no file, by reason."""

    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    _keys: list[tuple[str, str]] = field(default_factory=list)

    def add(self, key: str, reason: str) -> None:
        """Take one key."""
        self.count += 1
        self.reasons[reason] += 1
        self._keys.append((key, reason))
        if len(self._keys) >= 2 * MAX_SKIPPED:
            self._trim()

    def keys(self) -> list[tuple[str, str]]:
        """(key, reason), sorted; the same in whatever order they came."""
        self._trim()
        return self._keys

    def _trim(self) -> None:
        self._keys.sort()
        del self._keys[MAX_SKIPPED:]
