"""Named timers on one heap: at most one deadline per name, replaced or cancelled by name."""

import heapq
from collections.abc import Hashable, Iterator
from math import inf

Name = tuple[Hashable, ...]


class Timers:
    """What is due when. Cancelled entries stay in the heap until they come up."""

    def __init__(self) -> None:
        self._due: dict[Name, float] = {}
        self._heap: list[tuple[float, int, Name]] = []
        self._pushed = 0

    def set(self, name: Name, due: float) -> None:
        """Set `name` for the time `due`, in place of what it was set for."""
        self._due[name] = due
        self._pushed += 1
        heapq.heappush(self._heap, (due, self._pushed, name))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._due):
            self._rebuild()

    def _rebuild(self) -> None:
        self._heap = [
            (due, pushed, name) for due, pushed, name in self._heap if self._due.get(name) == due
        ]
        heapq.heapify(self._heap)

    def set_earlier(self, name: Name, due: float) -> None:
        """Set `name` for `due` unless it is due before that already."""
        if due < self._due.get(name, inf):
            self.set(name, due)

    def cancel(self, name: Name) -> None:
        """Forget `name`; fine if it is not set."""
        self._due.pop(name, None)

    def due(self, name: Name) -> float | None:
        """When `name` is due, None if it is not set."""
        return self._due.get(name)

    def delay(self, kind: Hashable, by: float) -> None:
        """Put off all timers whose name begins with `kind`."""
        for name, due in list(self._due.items()):
            if name[0] == kind:
                self.set(name, due + by)

    @property
    def deadline(self) -> float:
        """The earliest time at which something is due; infinite if nothing is."""
        heap, due_of = self._heap, self._due
        while heap:
            due, _, name = heap[0]
            if due_of.get(name) == due:
                return due
            heapq.heappop(heap)
        return inf

    def pop(self, now: float) -> Iterator[Name]:
        """The names that are due, in order of time, also those set while this goes on."""
        while self.deadline <= now:
            name = heapq.heappop(self._heap)[2]
            del self._due[name]
            yield name
