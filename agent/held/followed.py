"""What this member holds of the datasets' samples, kept up by what the store tells."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from meshcache.agent.held import coding
from meshcache.agent.held.sample import MAX_LEVEL, Sample, keys_of
from meshcache.agent.held.summary import Summary, size_of, snapshot_mark
from meshcache.block import BlockId
from meshcache.traffic import Traffic


class Followed:
    """One dataset's head, and the marks of what is held of its sample."""

    def __init__(self, snapshot: str, sample: Sample) -> None:
        self.snapshot = snapshot
        self.sample = sample
        self.held = sample.nothing()

    def summary(self, uid: str, level: int, traffic: Traffic) -> Summary:
        """What to tell of it."""
        bits = self.sample.bits(self.held, level)
        return Summary(uid, snapshot_mark(self.snapshot), level, coding.encode(bits), traffic)


def mark(
    followed: Iterable[Followed],
    changes: Mapping[BlockId, bool],
    new: Iterable[Followed],
    there: Sequence[BlockId],
) -> None:
    """Note what changed, and look through the whole store for datasets that are new here.

    Args:
        followed: those that are known already.
        changes: blocks that came (True) or went since; the last word on each.
        new: datasets without a mark yet.
        there: what the store has, if there are any new.
    """
    if changes:
        keys = keys_of(list(changes))
        came = np.fromiter(changes.values(), np.bool_, len(changes))
        for one in followed:
            one.sample.mark(one.held, keys, came)
    new = list(new)
    if new and there:
        keys = keys_of(there)
        for one in new:
            one.sample.mark(one.held, keys, True)


def summarise(
    followed: Mapping[str, Followed], traffic: Mapping[str, Traffic], room: int
) -> dict[str, Summary]:
    """The summaries of what is held or was read, in at most `room` bytes.

    The longest are made of fewer points until all fit; what does not fit even so is left out, the
    longest first.

    Args:
        followed: by dataset's uid.
        traffic: likewise; without an entry, nothing was read.
    """
    made = {uid: one.summary(uid, 0, traffic.get(uid, Traffic())) for uid, one in followed.items()}
    made = {uid: s for uid, s in made.items() if s.held or s.traffic != Traffic()}
    sizes = {uid: size_of(summary) for uid, summary in made.items()}
    left = sum(sizes.values())
    while left > room:
        uid = max(sizes, key=sizes.__getitem__)
        left -= sizes.pop(uid)
        summary = made[uid]
        if summary.level == MAX_LEVEL:
            del made[uid]
            continue
        made[uid] = followed[uid].summary(uid, summary.level + 1, summary.traffic)
        sizes[uid] = size_of(made[uid])
        left += sizes[uid]
    return made
