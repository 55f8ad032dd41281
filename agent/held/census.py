"""What the mesh holds of each dataset, from what its living members say of themselves.

Each block of a sample counts once, whoever holds it and however many do. Nobody is asked: all is
in the replicated map, and the samples are on every member.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from meshcache.agent.held import coding
from meshcache.agent.held.sample import MAX_LEVEL, Bits, Sample
from meshcache.agent.held.summary import Page, Summary, decode_page, snapshot_mark
from meshcache.agent.mesh import Peer
from meshcache.dataset import Dataset, Head
from meshcache.traffic import Traffic

_NOBODYS = Page("", ())


class Census:
    """Adds up the members' pages. All of it is quick; nothing waits."""

    def __init__(
        self,
        members: Callable[[], Mapping[str, Peer]],
        sample: Callable[[str, int], Sample | None],
    ) -> None:
        """Begin without a page.

        Args:
            members: those that count (alive or suspect), by store id.
            sample: of a snapshot and a block size, if it is here.
        """
        self._members = members
        self._sample = sample
        self._pages: dict[str, Page] = {}
        self._told: defaultdict[str, dict[str, _Told]] = defaultdict(dict)
        self._cached: dict[str, tuple[bytes, int]] = {}

    def take(self, key: str, value: bytes | None) -> Page:
        """A page was written, or deleted."""
        page = decode_page(value) if value is not None else _NOBODYS
        before = self._pages.get(key, _NOBODYS)
        now = {summary.dataset: summary for summary in page.summaries}
        for old in before.summaries:
            if page.store != before.store or now.get(old.dataset) != old:
                self._forget(old.dataset, key)
        for uid, summary in now.items():
            if key not in self._told.get(uid, ()):
                self._told[uid][key] = _Told(page.store, summary)
                self._cached.pop(uid, None)
        if value is None:
            self._pages.pop(key, None)
        else:
            self._pages[key] = page
        return page

    def _forget(self, uid: str, key: str) -> None:
        self._told[uid].pop(key, None)
        self._cached.pop(uid, None)
        if not self._told[uid]:
            del self._told[uid]

    def members_changed(self) -> None:
        """Somebody came, went, or is counted again."""
        self._cached.clear()

    def pages_of(self, store: str) -> list[str]:
        """The keys of a member's pages."""
        return [key for key, page in self._pages.items() if page.store == store]

    def free_pages(self) -> list[str]:
        """The keys of the pages whose writers are gone."""
        members = self._members()
        return [key for key, page in self._pages.items() if page.store not in members]

    def cached(self, dataset: Dataset, head: Head) -> int | None:
        """Bytes of a dataset's head that at least one living member holds; None while that cannot
        be told, for the sample is not here yet."""
        told = list(self._of(dataset, head))
        if not any(one.summary.held for one in told):
            return 0
        sample = self._sample(head.snapshot, dataset.block_size)
        if sample is None:
            return None
        mark = snapshot_mark(head.snapshot)
        known = self._cached.get(dataset.uid)
        if known is None or known[0] != mark:
            known = self._cached[dataset.uid] = mark, _union(sample, told)
        return known[1]

    def shares(
        self, dataset: Dataset, head: Head, *, only: str | None = None
    ) -> dict[str, int] | None:
        """Bytes of a dataset's head that each living member holds, or `only` one, by store id,
        without those that hold nothing; None as in `cached`."""
        told = [
            one for one in self._of(dataset, head) if one.summary.held and only in (None, one.store)
        ]
        sample = self._sample(head.snapshot, dataset.block_size)
        if sample is None:
            return None if told else {}
        shares: dict[str, int] = {}
        for one in told:
            shares[one.store] = max(shares.get(one.store, 0), _union(sample, [one]))
        return shares

    def traffic(self, uid: str) -> Traffic:
        """What the living members' readers were given of a dataset, and what that cost."""
        total = Traffic()
        for one in self._living(uid):
            total.add(one.summary.traffic)
        return total

    def _living(self, uid: str) -> "Iterator[_Told]":
        members = self._members()
        return (one for one in self._told.get(uid, {}).values() if one.store in members)

    def _of(self, dataset: Dataset, head: Head) -> "Iterator[_Told]":
        mark = snapshot_mark(head.snapshot)
        return (
            one
            for one in self._living(dataset.uid)
            if one.summary.snapshot == mark and 0 <= one.summary.level <= MAX_LEVEL
        )


class _Told:
    """One member's summary, read when it is needed."""

    def __init__(self, store: str, summary: Summary) -> None:
        self.store = store
        self.summary = summary
        self._places: tuple[Sample, np.ndarray[tuple[int], np.dtype[np.int64]]] | None = None

    def places(self, sample: Sample) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The blocks of the sample that it holds. Nothing, if it is not of this sample."""
        if self._places is None or self._places[0] is not sample:
            blocks = sample.at(self.summary.level).blocks
            bits = coding.decode(self.summary.held, len(blocks))
            self._places = sample, blocks[:0] if bits is None else blocks[bits]
        return self._places[1]


def _union(sample: Sample, told: "list[_Told]") -> int:
    """The bytes that they hold together, by the blocks that stand at the levels of all."""
    held: Bits = np.zeros(len(sample), dtype=np.bool_)
    for one in told:
        held[one.places(sample)] = True
    level = sample.at(max(one.summary.level for one in told))
    return level.bytes_of(held[level.blocks])
