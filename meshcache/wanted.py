"""A block that somebody wants, and what it is when it is here."""

from typing import NamedTuple, Self

import msgspec

from meshcache.block import Block
from meshcache.store import Held
from meshcache.traffic import Source

SNAPSHOT_ORIGIN = "snapshot:"
"""The origin of snapshots: whichever members hold them."""


class Wanted(msgspec.Struct, frozen=True):
    """A block, and the dataset whose origin and credentials it can be read with."""

    dataset: str
    block: Block


class Found(NamedTuple):
    """A block that is here now, and where it was found."""

    held: Held
    source: Source
    uncounted: bool = False
    """Whether the member that gave it has not counted it as read: it was asked for by a load, or
    by an owner for its store."""

    def share(self) -> Self:
        """A second loan of it."""
        return self._replace(held=self.held.share())

    def release(self) -> None:
        """Give the loan back."""
        self.held.release()
