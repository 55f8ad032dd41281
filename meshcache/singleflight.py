"""One piece of work per key, however many want its result at the same time.

Who comes while the work is under way waits for the same result. A waiter that is cancelled leaves
the others undisturbed; when the last one is, the work is cancelled. From then on the key is free:
who comes next starts anew, even while the cancelled work is still cleaning up.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from meshcache.tasks import TaskSet

K = TypeVar("K")
V = TypeVar("V")


class _Flight(Generic[V]):
    def __init__(self, task: "asyncio.Task[V]") -> None:
        self.task = task
        self.waiters = 0


class SingleFlight(Generic[K, V]):
    """Work under way, by key. Belongs to one event loop."""

    def __init__(
        self,
        *,
        take: Callable[[V], V] | None = None,
        discard: Callable[[V], None] | None = None,
    ) -> None:
        """For results that must be given back: `take` makes each waiter's own of the result, and
        `discard` gets the result itself once the last waiter has taken or left."""
        self._take = take
        self._discard = discard
        self._flights: dict[K, _Flight[V]] = {}
        self._tasks = TaskSet(_told_already)

    def __contains__(self, key: K) -> bool:
        """Whether the key is being worked on: whoever comes now waits for that work."""
        flight = self._flights.get(key)
        return flight is not None and not flight.task.done()

    def __len__(self) -> int:
        """How many keys are being worked on."""
        return len(self._flights)

    async def run(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """The result of `work`, or of the work for the same key that is under way already.

        It runs in a task of its own with the first caller's context. What it raises is raised in
        every waiter.
        """
        flight = self._flights.get(key)
        if flight is None or flight.task.done():
            task = self._tasks.start(_run(work), name="singleflight")
            flight = self._flights[key] = _Flight(task)
            task.add_done_callback(partial(self._land, key, flight))
        flight.waiters += 1
        try:
            await _ended(flight.task)
            if flight.task.cancelled():
                # Nobody cancelled this waiter: it must get an error that it can see.
                raise RuntimeError(f"the work for {key} was cancelled from within")
            result = flight.task.result()
            return self._take(result) if self._take else result
        finally:
            flight.waiters -= 1
            if flight.waiters == 0:
                self._leave(key, flight)

    def _leave(self, key: K, flight: _Flight[V]) -> None:
        """The last waiter is gone."""
        if flight.task.done():
            self._discard_result(flight.task)
        else:
            self._land(key, flight)
            flight.task.cancel()
            # It may end with a result all the same, before its cancellation arrives.
            flight.task.add_done_callback(self._discard_result)

    def _discard_result(self, task: "asyncio.Task[V]") -> None:
        if self._discard is not None and not task.cancelled() and task.exception() is None:
            self._discard(task.result())

    def _land(self, key: K, flight: _Flight[V], _: object = None) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


async def _ended(task: "asyncio.Task[V]") -> None:
    """Wait for its end. Unlike awaiting it, being cancelled does not cancel it. (`asyncio.wait`
    does this as well, in three times the time.)"""
    waiter = asyncio.get_running_loop().create_future()

    def wake(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    task.add_done_callback(wake)
    try:
        await waiter
    finally:
        task.remove_done_callback(wake)


async def _run(work: Callable[[], Awaitable[V]]) -> V:
    return await work()


def _told_already(name: str, error: BaseException) -> None:
    """The waiters had the exception; if all have left, nobody wants it."""
