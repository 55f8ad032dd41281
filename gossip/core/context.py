"""What all parts of one node share: who it is, the time, the dice, timers, and the way out."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

from meshcache.gossip.core.events import Event, Output
from meshcache.gossip.core.settings import Settings
from meshcache.gossip.core.timers import Timers

T = TypeVar("T")


class Dice(Protocol):
    """The part of `random.Random` that the core uses."""

    def random(self) -> float:
        """From 0 up to 1."""

    def sample(self, population: Sequence[T], k: int) -> list[T]:
        """`k` different ones."""

    def choice(self, seq: Sequence[T]) -> T:
        """One of them."""

    def shuffle(self, x: list[T]) -> None:
        """Put them in any order."""


class Context:
    """Shared by the parts of one node; `now` is set at each input."""

    def __init__(
        self, *, uid: bytes, mesh: bytes, settings: Settings, rng: Dice, now: float, wall_ms: int
    ) -> None:
        """Begin at the time `now`, at which the wall clock shows `wall_ms` since 1970."""
        self.uid = uid
        self.mesh = mesh
        self.settings = settings
        self.rng = rng
        self.now = now
        self.timers = Timers()
        self.counts: Counter[str] = Counter()
        self.outputs: list[Output] = []
        self.events: list[Event] = []
        self._wall_offset = wall_ms - now * 1000

    @property
    def wall_ms(self) -> int:
        """The wall clock, ms since 1970, as it goes on from the start without steps."""
        return int(self._wall_offset + self.now * 1000)

    def emit(self, event: Event) -> None:
        """Tell the user."""
        self.events.append(event)

    def jitter(self, seconds: float) -> float:
        """`seconds`, a tenth more or less, so that members do not fall into step."""
        return seconds * (0.9 + 0.2 * self.rng.random())
