"""Session loops: many requests to a wake-up, and a task only for one that has to wait."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from meshcache.fuse.device import Device
from meshcache.fuse.patience import ALONE
from meshcache.fuse.session_loops import AT_ONCE, SessionLoops, idle


class FakeDevice:
    """Requests by name, and what becomes of the wish to be told of them."""

    def __init__(self, *requests: str) -> None:
        self.requests = deque(requests)
        self.soon: deque[str] = deque()
        """Requests that come to who looks for them."""
        self.watching = False
        self.paused = 0
        self.left = False
        self.ended = asyncio.Event()
        self.serve: Callable[[], None] = lambda: None

    def watch(self, serve: Callable[[], None]) -> None:
        self.serve = serve
        self.watching = True

    def pause(self) -> None:
        self.watching = False
        self.paused += 1

    def resume(self) -> None:
        self.watching = True

    def leave(self) -> None:
        self.left = True
        self.pause()

    def has_more(self) -> bool:
        return bool(self.requests)

    def has_more_within(self, seconds: float) -> bool:
        if self.soon:
            self.requests.append(self.soon.popleft())
        return bool(self.requests)


class Kernel:
    """Session loops as pyfuse3 has them, over a fake device. A request ``wait`` waits for `open`,
    ``fail`` raises."""

    def __init__(self, *requests: str, most: int = 10) -> None:
        self.device = FakeDevice(*requests)
        self.answered: list[str] = []
        self.errors: list[str] = []
        self.begun = 0
        self.open = asyncio.Event()
        self._most = most
        self._waiting = 0
        self.loops = SessionLoops(
            cast("Device", self.device),
            lambda name, error: self.errors.append(str(error)),
            clock=lambda: 0.0,
        )

    async def loop(self) -> None:
        self.begun += 1
        while True:
            self._waiting += 1
            await idle()
            self._waiting -= 1
            request = self.device.requests.popleft()
            if not self._waiting and self.begun < self._most:
                self.loops.start_soon(self.loop, name="another")
            if request == "end":
                return
            if request == "fail":
                raise RuntimeError(request)
            if request == "wait":
                await self.open.wait()
            self.answered.append(request)

    async def __aenter__(self) -> "Kernel":
        async def run() -> None:
            async with self.loops:
                self.loops.start_soon(self.loop, name="first")

        self._running = asyncio.get_running_loop().create_task(run())
        await asyncio.sleep(0)
        return self

    async def rest(self) -> None:
        """Until no request waits any more."""
        self.open.set()
        async with asyncio.timeout(5):
            while len(self.loops._waiting):
                await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        self.device.ended.set()
        await self._running


async def test_one_wake_up_answers_all_that_the_device_has() -> None:
    async with Kernel("a", "b", "c") as kernel:
        kernel.device.serve()
        assert kernel.answered == ["a", "b", "c"]  # without a turn of the event loop
        assert kernel.begun == 2  # the one that reads, and the one that would read meanwhile


async def test_the_event_loop_has_its_turn_under_an_endless_stream() -> None:
    async with Kernel(*["a"] * (AT_ONCE + 5)) as kernel:
        kernel.device.serve()
        assert len(kernel.answered) == AT_ONCE
        assert kernel.device.watching


async def test_a_request_that_waits_holds_up_no_other_and_is_answered_in_the_end() -> None:
    async with Kernel("wait", "a", "b") as kernel:
        kernel.device.serve()
        assert kernel.answered == ["a", "b"]
        await kernel.rest()
        assert kernel.answered == ["a", "b", "wait"]


async def test_requests_stay_with_the_kernel_while_every_loop_waits() -> None:
    async with Kernel("wait", "wait", "a", most=2) as kernel:
        kernel.device.serve()
        assert kernel.answered == []
        assert kernel.device.paused == 1
        await kernel.rest()
        assert kernel.device.watching
        kernel.device.serve()
        assert kernel.answered == ["wait", "wait", "a"]


async def test_a_loop_that_fails_is_told_of_and_replaced() -> None:
    async with Kernel("fail", "a", "fail", most=1) as kernel:
        kernel.device.serve()
        assert kernel.errors == ["fail", "fail"]
        assert kernel.answered == ["a"]
        kernel.device.requests.append("b")
        kernel.device.serve()
        assert kernel.answered == ["a", "b"]


async def test_who_asks_again_at_once_is_waited_for() -> None:
    async with Kernel() as kernel:
        for _ in range(ALONE):
            kernel.device.requests.append("a")
            kernel.device.soon.append("b")
            kernel.device.serve()
        assert kernel.answered == ["a"] * ALONE + ["b"] * ALONE


async def test_nobody_is_waited_for_while_a_request_waits_for_the_agent() -> None:
    async with Kernel("wait") as kernel:
        kernel.device.serve()
        for _ in range(2 * ALONE):
            kernel.device.requests.append("a")
            kernel.device.soon.append("b")
            kernel.device.serve()
        assert kernel.answered == ["a"] * 2 * ALONE


async def test_the_end_cancels_what_waits() -> None:
    async with Kernel("wait") as kernel:
        kernel.device.serve()
    assert kernel.answered == []
    assert not kernel.device.watching
