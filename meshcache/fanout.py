"""Who gives a block on, while many want it at once. Pure.

A block has one owner, and when a hundred pods start with one model all want the same block from it
at the same moment. It gives the block to the first few; whoever comes while it does is sent to one
of those, which has the block soon or is about to. So the askers of a block make a tree, in the
order in which they came, in which nobody gives more than `BRANCHES` copies: its depth grows with
the logarithm of their number, where one link would have carried all copies.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from meshcache.block import BlockId
from meshcache.units import MIB

BRANCHES = 2
"""Copies of a block that one member gives. With one each, the last of many would wait for all
others; with more, a link carries more of the copies in turn."""

SENT_ON_FROM = MIB
"""Bytes of the shortest block whose askers are sent on: they have to ask twice for it."""


class _Tree:
    def __init__(self) -> None:
        self.giving = 0
        """Copies under way from here."""
        self.askers: set[str] = set()
        self.givers: deque[list[str]] = deque()
        """Each as often as it may still be sent somebody, in the order in which they came."""

    def enlist(self, asker: str) -> None:
        if asker not in self.askers:
            self.askers.add(asker)
            self.givers.append([asker] * BRANCHES)


class Fanout:
    """The trees of the blocks that this member is giving now. Members are named by store ids."""

    def __init__(self, is_there: Callable[[str], bool]) -> None:
        """`is_there` says whether others can ask that member."""
        self._is_there = is_there
        self._trees: dict[BlockId, _Tree] = {}

    def __len__(self) -> int:
        """Blocks that are being given."""
        return len(self._trees)

    def elsewhere(self, id: BlockId, asker: str) -> str:
        """The member that an asker is to have the block from; empty: this one."""
        tree = self._trees.get(id)
        if tree is None or tree.giving < BRANCHES or asker in tree.askers:
            return ""
        while tree.givers:
            places = tree.givers[0]
            giver = places.pop()
            if not places:
                tree.givers.popleft()
            if self._is_there(giver):
                self._enlist(tree, asker)
                return giver
        return ""

    @contextmanager
    def giving(self, id: BlockId, asker: str) -> Iterator[None]:
        """While a block is got for an asker, and sent to it."""
        tree = self._trees.setdefault(id, _Tree())
        tree.giving += 1
        self._enlist(tree, asker)
        try:
            yield
        finally:
            tree.giving -= 1
            if not tree.giving:
                del self._trees[id]

    def _enlist(self, tree: _Tree, asker: str) -> None:
        # A leaf of gossip, which others do not know, is given to and gives nothing on.
        if self._is_there(asker):
            tree.enlist(asker)
