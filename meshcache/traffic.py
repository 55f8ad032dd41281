"""Where the bytes of a dataset that readers were given came from."""

from typing import Literal

import msgspec

Source = Literal["store", "peer", "origin"]
"""Where a reader's block was found: on its node, at another member, or nowhere in the mesh."""

Purpose = Literal["read", "load"]
"""What a block is had for: a reader waits for it, or a load wants it kept."""


class Traffic(msgspec.Struct, array_like=True):
    """Bytes of one dataset, counted by one member since it started.

    What a reader has from another member is counted at both: as `peer` where it reads, and as
    `given` or `missed` where it is given, for only that one knows which. So for the whole mesh the
    sum of `store`, `origin`, `given` and `missed` is what readers had, guests' readers among them.
    What loads have counts as `fetched` and `loaded` alone.
    """

    store: int = 0
    """This node's readers had these out of its own store."""
    peer: int = 0
    """They had these from another member."""
    origin: int = 0
    """They had these after this member asked the origin."""
    given: int = 0
    """Other members' readers had these out of this one's store."""
    missed: int = 0
    """They had these after this member asked the origin."""
    fetched: int = 0
    """Asked of the origin by this member: for readers, for other members, ahead of readers and by
    loads."""
    loaded: int = 0
    """Of these, what loads had them asked for, on this member or another."""

    def read(self, source: Source, size: int) -> None:
        """Count what a reader of this node was given."""
        setattr(self, source, getattr(self, source) + size)

    def add(self, other: "Traffic") -> None:
        """Count another member's as well."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
