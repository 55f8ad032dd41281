"""When a member that the mesh holds failed, though it lives, may come back.

The first time at once. A member that hears but is not heard, or that stands still again and again,
would else come and go every few seconds, and what it owns with it: if the trouble was its own, the
next return waits until `Settings.reentry` seconds after the last one.

In a partition both sides fail each other and nobody is to blame: there nobody waits. Who is alone
on its side cannot tell that from trouble of its own until it has heard nobody for `Settings.alone`
seconds. Nor does anybody wait because few hold it failed, who may be in trouble themselves: all
would believe them. So trouble is what has others fail a member, and nothing less.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from meshcache.gossip.core.context import Context
from meshcache.gossip.core.table import Table

LATELY = 60.0
"""Trouble, of mine and of others, and splits are remembered so many seconds."""


@dataclass
class Reentry:
    """The returns of one member."""

    context: Context
    table: Table
    lost: set[bytes]
    """Members that failed without a refusal: they may come back."""
    _trouble: float = -inf
    _split: float = -inf
    _denied: float = -inf
    _company: float = -inf
    _doubted: dict[bytes, float] = field(default_factory=dict)
    """When others were suspect or failed last, of those that were lately."""

    def __post_init__(self) -> None:
        """Nothing has happened yet."""
        self._company = self.context.now

    def look(self, *, alone: bool) -> None:
        """How it stands now, to be told in every period: whether I hear nobody at all."""
        now = self.context.now
        if not alone:
            self._company = now
            if 3 * len(self.lost) >= len(self.table.living) + len(self.lost):
                self._split = now  # I hear some, and a third is gone: a partition
        elif not self._apart:
            self.trouble()

    @property
    def _apart(self) -> bool:
        """Whether I have been alone for so long that it is a partition, and this is one side."""
        return self._company <= self.context.now - self.context.settings.alone

    def trouble(self) -> None:
        """I stood still for long, or my observers do not hear me: it is not the others."""
        self._trouble = self.context.now

    def accused(self, by: Iterable[bytes]) -> None:
        """These, a majority of my observers, do not hear me. That is no trouble of mine if each of
        them is suspect, or was it lately, or failed: one that gets too little CPU is heard now and
        then, and does not hear most of the time."""
        lately, rows = self.context.now - LATELY, self.table.rows
        if not all(rows[one].suspect or self._doubted.get(one, -inf) > lately for one in by):
            self.trouble()

    def doubted(self, uid: bytes) -> None:
        """Another member was suspect until now, or has failed."""
        self._doubted[uid] = self.context.now

    def reap(self) -> None:
        """Forget who was suspect long ago."""
        lately = self.context.now - LATELY
        self._doubted = {uid: at for uid, at in self._doubted.items() if at > lately}

    def denied(self) -> None:
        """I say that I live: that brings me back, or keeps me."""
        self._denied = self.context.now

    def wait(self) -> float:
        """How many seconds I have to stay away, now that the mesh holds me failed."""
        now = self.context.now
        if self._trouble > now - LATELY >= self._split and not self._apart:
            return max(0.0, self._denied + self.context.settings.reentry - now)
        return 0.0
