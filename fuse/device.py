"""pyfuse3 in our event loop: waiting for the device, owning its tasks, changing the socket for it.

pyfuse3's asyncio layer is a module of small functions that it looks up at each call. Three of them
are replaced here, for as long as `serve` runs:

- `wait_readable` also knows the moment to change files. The first request, FUSE_INIT, waits on a
  socket (`meshcache.fuse.handshake`); when pyfuse3 waits for the second time, the first has been
  answered and nothing of the second was read, so the device takes the socket's number (dup2), as
  soon as the keeper gives it.
- `open_nursery` owns its tasks: theirs keeps every ended task, and its exception, until the oldest
  of them ends, which under a stalled reader is never.
- `notify_closing` wakes our one waiter.

At most one task waits for the device: pyfuse3 holds a lock around it.
"""

import asyncio
import os
import select
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

import pyfuse3
import pyfuse3.asyncio

from meshcache.tasks import TaskSet

MAX_TASKS = 4096
"""Requests answered at the same time. pyfuse3's default of 99 lets a hundred waiters for a stalled
origin stop all other requests (tried); the kernel keeps at most max_background readahead requests
in flight, and beyond that one for each process that waits. A waiting one costs a few KiB."""

IDLE_TASKS = 8
"""Tasks that stay when there is nothing to do. With few of them, pyfuse3 starts and ends a task
for most requests."""


class Device:
    """The file that the kernel's requests come from."""

    def __init__(self, first: int) -> None:
        """Begin with descriptor `first`, for one request."""
        self.number = first
        self.ended = asyncio.Event()
        """Set when the file system was unmounted, or its connection aborted."""
        self._waits = 0
        self._loop = asyncio.get_running_loop()
        self._then: asyncio.Future[int] = self._loop.create_future()
        self._waiter: asyncio.Future[None] | None = None
        self._watched = False
        self._poll = select.poll()

    def go_on_with(self, device: int) -> None:
        """Take all further requests from this descriptor, which is closed."""
        self._then.set_result(device)

    async def wait_readable(self, number: int) -> None:
        """Wait for a request. `number` is ours: libfuse knows no other."""
        self._waits += 1
        if self._waits == 2:
            self._change_files(number, await self._then)
        self._waiter = self._loop.create_future()
        if not self._watched:
            self._loop.add_reader(number, self._readable)
            self._watched = True
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _change_files(self, number: int, device: int) -> None:
        if self._watched:
            self._loop.remove_reader(number)
            self._watched = False
        os.dup2(device, number, inheritable=False)
        os.close(device)
        self._poll.register(number, select.POLLIN)

    def _readable(self) -> None:
        # Watching goes on from one request to the next: taking the file out of the loop and
        # putting it back costs more than a cached answer. It stops only when nobody waits.
        if self._waiter is None or self._waiter.done():
            self._loop.remove_reader(self.number)
            self._watched = False
            return
        self._waiter.set_result(None)

    def check(self) -> None:
        """Set `ended` if it is so: a device without a file system shows an error to poll."""
        if any(events & ~select.POLLIN for _, events in self._poll.poll(0)):
            self.ended.set()

    def wake(self, number: int) -> None:
        """End the wait."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(pyfuse3.asyncio.ClosedResourceError())


class _Nursery:
    """What pyfuse3 asks of a nursery, over a `TaskSet`."""

    def __init__(
        self, on_end: Callable[[], None], on_error: Callable[[str, BaseException], None]
    ) -> None:
        self._tasks = TaskSet(on_error)
        self._on_end = on_end
        self._empty = asyncio.Event()

    def start_soon(
        self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any, name: str
    ) -> None:
        task = self._tasks.start(work(*args), name=name)
        # pyfuse3 asks for the current task's name as an attribute.
        task.name = name  # type: ignore[attr-defined]
        task.add_done_callback(self._ended)

    def _ended(self, _task: object) -> None:
        self._on_end()
        if not len(self._tasks):
            self._empty.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._empty.wait()
        finally:
            await self._tasks.close()


async def serve(
    operations: pyfuse3.Operations,
    device: Device,
    on_error: Callable[[str, BaseException], None],
) -> None:
    """Answer the kernel until the file system is unmounted.

    `on_error` hears of a request that ended in an exception, and so without an answer.
    """
    layer: Any = pyfuse3.asyncio
    layer.wait_readable = device.wait_readable
    layer.notify_closing = device.wake
    layer.open_nursery = lambda: _Nursery(device.check, on_error)
    layer.enable()
    # libfuse takes the number as it is, and neither mounts nor unmounts.
    pyfuse3.init(operations, f"/dev/fd/{device.number}", set())
    tasks = TaskSet(on_error)
    work = tasks.start(pyfuse3.main(IDLE_TASKS, MAX_TASKS), name="answer the kernel")
    ended = tasks.start(device.ended.wait(), name="wait for the end")
    await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
    await tasks.close()  # requests that still wait have lost their asker
