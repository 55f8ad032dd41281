"""Virtual time: a heap of timed calls and one seeded source of chance."""

import heapq
import random
from collections.abc import Callable
from typing import Any

LOOK = 0.01
"""How often a condition is looked at, seconds of virtual time."""


class Schedule:
    """What happens next. A run is a pure function of its seed."""

    def __init__(self, seed: int) -> None:
        """Begin at 0 s with nothing to do."""
        self.random = random.Random(seed)
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._pushed = 0

    def at(self, when: float, call: Callable[..., None], *args: Any) -> None:
        """Call at this time, or at once if it has passed."""
        self._pushed += 1
        heapq.heappush(self._heap, (max(when, self.now), self._pushed, call, args))

    def after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        """Call after so many seconds."""
        self._pushed += 1
        heapq.heappush(self._heap, (self.now + delay, self._pushed, call, args))

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        heap, pop, deadline = self._heap, heapq.heappop, self.now + seconds
        while heap and heap[0][0] <= deadline:
            self.now, _, call, args = pop(heap)
            call(*args)
        self.now = deadline

    def run_until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Let time pass until the condition holds (looked at every 10 ms of virtual time) or the
        deadline comes; whether it held."""
        next_look = self.now
        while True:
            if self.now >= next_look:
                if condition():
                    return True
                next_look = self.now + LOOK
            if not self._heap or self._heap[0][0] > deadline:
                self.now = deadline
                return condition()
            self.now, _, call, args = heapq.heappop(self._heap)
            call(*args)
