"""What a node's readers and loads were given, and from where: counts for people to see."""

from collections import Counter, OrderedDict, defaultdict

from meshcache.block import BlockId
from meshcache.traffic import Purpose, Source, Traffic

AHEAD = 4096
"""Blocks that were fetched ahead of a reader, and not read yet, of which it is remembered where
they came from."""


class Accounts:
    """The counts of one node. Snapshots are no bytes of a dataset's: they do not come here."""

    def __init__(self) -> None:
        """All begins at 0."""
        self.traffic: defaultdict[str, Traffic] = defaultdict(Traffic)
        """By dataset."""
        self.loaded_from: Counter[Source] = Counter()
        """Bytes that loads had to fetch, by where they were found."""
        self._ahead: OrderedDict[BlockId, tuple[Source, bool]] = OrderedDict()

    @property
    def bytes_from(self) -> Counter[str]:
        """Bytes by where this node's readers found them: store, peer, origin."""
        total: Counter[str] = Counter()
        for traffic in self.traffic.values():
            total.update(store=traffic.store, peer=traffic.peer, origin=traffic.origin)
        return total

    def read(
        self, dataset: str, id: BlockId, length: int, source: Source, *, uncounted: bool
    ) -> None:
        """A reader was given a block; `uncounted`: the member that gave it has not counted it."""
        # What was fetched ahead of its reader was found where that found it.
        source, uncounted = self._ahead.pop(id, (source, uncounted))
        traffic = self.traffic[dataset]
        traffic.read(source, length)
        if uncounted:
            traffic.given += length

    def fetched_ahead(self, id: BlockId, source: Source, *, uncounted: bool) -> None:
        """A block is here before a reader asks for it."""
        self._ahead[id] = source, uncounted
        if len(self._ahead) > AHEAD:
            self._ahead.popitem(last=False)

    def given(self, dataset: str, length: int, source: Source) -> None:
        """A peer was given a block for a reader of its own."""
        if source == "origin":
            self.traffic[dataset].missed += length
        else:
            self.traffic[dataset].given += length

    def fetched(self, dataset: str, length: int, purpose: Purpose | None) -> None:
        """The origin was read."""
        self.traffic[dataset].fetched += length
        if purpose == "load":
            self.traffic[dataset].loaded += length

    def loaded(self, length: int, source: Source) -> None:
        """A load has what it wanted."""
        if source != "store":
            self.loaded_from[source] += length
