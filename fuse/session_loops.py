"""pyfuse3's session loops, stepped by hand: one wake-up of the event loop answers many requests.

A session loop is pyfuse3's coroutine that waits for the device, reads one request, answers it and
begins again; there are as many as requests are answered at the same time. As tasks they cost for
each request a future, a turn of the event loop and a wait for the device: more than an answer out
of a mapping does. So they are no tasks here. When the device can be read, an idle loop is stepped
until it is idle again, and so on for as long as the device has more. Only a loop whose handler
waits for something else (a block, the agent) becomes a task, until it is idle again.

So a handler has no current task before it has waited for the first time: what needs one at once
(`asyncio.timeout`) is not for handlers.

pyfuse3's asyncio layer is a module of small functions and classes that it looks up at each use:
`serve` puts its own in their place.
"""

import time
import types
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Self

import pyfuse3
import pyfuse3.asyncio

from meshcache.fuse.device import Device
from meshcache.fuse.patience import Patience
from meshcache.tasks import TaskSet

AT_ONCE = 32
"""Requests answered before the event loop has its turn: the agent's answers come over it. One of
1 MiB takes a tenth of a millisecond to copy."""

MAX_LOOPS = 4096
"""Requests answered at the same time. pyfuse3's default of 99 lets a hundred waiters for a stalled
origin stop all other requests (tried); the kernel keeps at most max_background readahead requests
in flight, and beyond that one for each process that waits. A waiting one costs a few KiB."""

IDLE_LOOPS = 8
"""Loops that stay when there is nothing to do."""

_Loop = Coroutine[Any, Any, None]

_IDLE = object()
"""What a session loop yields when it waits for the device."""


@types.coroutine
def idle() -> Generator[object, None, None]:
    """Wait for the device: what pyfuse3 awaits between two requests."""
    yield _IDLE


class SessionLoops:
    """The session loops of one device: for pyfuse3 a nursery, and the task that it runs in."""

    name = "session loops"
    """pyfuse3 asks its task for a name."""

    def __init__(
        self,
        device: Device,
        on_error: Callable[[str, BaseException], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`on_error` hears of a request that ended in an exception, and so without an answer."""
        self.device = device
        self._on_error = on_error
        self._idle: list[_Loop] = []
        self._new: list[_Loop] = []
        self._make: Callable[[], _Loop] | None = None
        self._waiting = TaskSet(on_error)
        self._patience = Patience()
        self._clock = clock

    def _serve(self) -> None:
        """The device can be read: answer requests, at most `AT_ONCE`."""
        self._patience.woken(self._clock())
        for _ in range(AT_ONCE):
            # The one that was idle for the shortest time: its memory is in the processor's cache.
            self._step(self._idle.pop())
            more = self.device.has_more()
            if not self._idle:
                self.device.pause()  # as many as there may be are waiting
                return
            if more:
                self._patience.crowded()
            elif not self._linger():
                return

    def _linger(self) -> bool:
        """Whether there is a request after all, now or within the time that it is worth to look."""
        self._patience.answered(self._clock())
        if self._waiting or not self._patience.seconds:  # the agent's answer would be kept waiting
            return False
        more = self.device.has_more_within(self._patience.seconds)
        if more:
            self._patience.found()
        return more

    def _step(self, loop: _Loop) -> None:
        try:
            awaited = loop.send(None)
        except StopIteration:
            pass  # enough others are idle, or the file system was unmounted
        except Exception as error:
            self._replace(error)
        else:
            if awaited is _IDLE:
                self._idle.append(loop)
            else:
                self._waiting.start(self._wait(loop, awaited), name="answer a request")
        if self._new:
            self._begin_new()

    def _begin_new(self) -> None:
        while self._new:
            self._step(self._new.pop())

    async def _wait(self, loop: _Loop, awaited: object) -> None:
        try:
            if await _until_idle(loop, awaited):
                self._idle.append(loop)
        except Exception as error:
            self._replace(error)
            self._begin_new()
        if self.device.left:
            self._leave(but=1)
        elif self._idle:
            self.device.resume()

    def leave(self) -> None:
        """Read no more, and end as soon as all that was read is answered."""
        self.device.leave()
        self._leave(but=0)

    def _leave(self, *, but: int) -> None:
        if len(self._waiting) <= but:  # the one that has just been answered still counts
            self.device.ended.set()

    def _replace(self, error: Exception) -> None:
        """A loop ended in an exception. pyfuse3 goes on counting it: another takes its place."""
        self._on_error(self.name, error)
        if self._make is not None:
            self._new.append(self._make())

    # --- for pyfuse3 ------------------------------------------------------------------------

    def start_soon(self, work: Callable[..., _Loop], *args: Any, name: str) -> None:
        """pyfuse3 wants one loop more. It begins when the one that runs now has paused."""
        self._make = lambda: work(*args)
        self._new.append(self._make())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Serve until the file system is unmounted."""
        self._begin_new()
        self.device.watch(self._serve)
        try:
            await self.device.ended.wait()
        finally:
            self.device.pause()
            await self._waiting.close()  # requests that still wait have lost their asker
            for loop in self._idle:
                loop.close()


class _NoLock:
    """In the place of pyfuse3's lock around the wait: its loops only seem to wait at once."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass


@types.coroutine
def _until_idle(loop: _Loop, awaited: object) -> Generator[object, None, bool]:
    """Go on with a loop in the current task. Whether it is idle then; else it has ended."""
    try:
        while awaited is not _IDLE:
            try:
                yield awaited
            except BaseException as error:  # the task was cancelled
                awaited = loop.throw(error)
            else:
                awaited = loop.send(None)
    except StopIteration:
        return False
    return True


async def serve(operations: pyfuse3.Operations, loops: SessionLoops) -> None:
    """Answer the kernel until the file system is unmounted, or the loops have left."""
    layer: Any = pyfuse3.asyncio
    layer.wait_readable = lambda _number: idle()
    layer.Lock = _NoLock
    layer.open_nursery = lambda: loops
    layer.current_task = lambda: loops
    layer.enable()
    # libfuse takes the number as it is, and neither mounts nor unmounts.
    pyfuse3.init(operations, f"/dev/fd/{loops.device.number}", set())
    await pyfuse3.main(IDLE_LOOPS, MAX_LOOPS)
