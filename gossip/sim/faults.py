"""What goes wrong between two addresses: cuts, lost, repeated and reordered segments."""

from collections.abc import Callable
from dataclasses import dataclass, field

Between = Callable[[str, str], bool]
"""Whether something is about segments from one address to another."""


@dataclass
class Faults:
    """The faults of a network now. All may be changed while it runs."""

    loss: float = 0.0
    """The share of all segments that is lost, everywhere."""
    duplicated: float = 0.0
    """The share of frames that arrive again, within `STRAY` s, maybe over the next connection of
    the pair. TCP does not do this; datagrams, proxies that retry, and bugs do."""
    reordered: float = 0.0
    """The share of frames that leave their place in the order and come alone, within `STRAY` s."""
    cuts: list[Between] = field(default_factory=list)
    """A segment from one address to another is lost if any of these says so."""
    losses: list[tuple[Between, float]] = field(default_factory=list)
    """Further shares lost, each where it says so: one way only if it says so of one way only."""

    def cut(self, source: str, target: str) -> bool:
        """Whether nothing gets from one address to another now."""
        return bool(self.cuts) and any(cut(source, target) for cut in self.cuts)

    def severed(self, one: str, other: str) -> bool:
        """Whether no TCP connection of the two makes progress: data and acknowledgements must get
        through, so a cut of one way stops both."""
        return bool(self.cuts) and (self.cut(one, other) or self.cut(other, one))

    def share_lost(self, source: str, target: str) -> float:
        """The share of segments from one address to another that is lost."""
        passed = 1 - self.loss
        for between, share in self.losses:
            if between(source, target):
                passed *= 1 - share
        return 1 - passed
