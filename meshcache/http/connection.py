"""One connection: a request at a time, each with a limit for silence."""

import asyncio
from collections.abc import Callable
from typing import cast

from meshcache.http.answer import Answer
from meshcache.http.errors import BrokenOff
from meshcache.http.head import Head

IDLE = 60.0
"""Seconds that a connection is kept without a request."""


class Connection(asyncio.BufferedProtocol):
    """A connection that is made. Belongs to one event loop.

    One timer serves all its requests: it is set anew when it fires, not at each byte.
    """

    def __init__(self, lost: Callable[["Connection"], None]) -> None:
        """`lost` is called once, when it can be used no more."""
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._waiter: asyncio.Future[Head] | None = None
        self._silence = IDLE
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.usable = True
        """Whether it can be asked, when nothing is under way."""

    async def ask(self, request: bytes, answer: Answer, silence: float) -> Head:
        """Send a request and receive its answer, which is whole when this returns.

        Raises:
            BadAnswer: see `Answer.received`.
            BrokenOff: the connection ended first.
            TimeoutError: nothing came for `silence` seconds.
            Exception: what the body raised.
        """
        assert self._transport is not None and self._answer is None
        self._answer = answer
        self._waiter = self._loop.create_future()
        self._wait_at_most(silence)
        if self.usable:
            self._transport.write(request)
        else:
            self._fail(BrokenOff("the connection has ended"))
        try:
            return await self._waiter
        finally:
            if self._answer is not None:  # cancelled
                self._answer = None
                self.close()
            self._waiter = None

    def close(self) -> None:
        """End it. Idempotent."""
        self.usable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: BaseException) -> None:
        waiter, self._answer = self._waiter, None
        self.close()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _end(self, answer: Answer) -> None:
        waiter, self._answer = self._waiter, None
        self._silence = IDLE
        if not answer.keep:
            self.close()
        if waiter is not None and not waiter.done():
            assert answer.head is not None
            waiter.set_result(answer.head)

    # --- silence ---------------------------------------------------------------------------------

    def _wait_at_most(self, silence: float) -> None:
        self._heard, self._silence = self._loop.time(), silence
        if self._timer is None or self._due > self._heard + silence:
            self._set_timer(silence)

    def _set_timer(self, within: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = self._loop.time() + within
        self._timer = self._loop.call_later(within, self._look)

    def _look(self) -> None:
        self._timer = None
        left = self._heard + self._silence - self._loop.time()
        if left > 0:
            self._set_timer(left)
        else:
            self._fail(TimeoutError("no answer in time"))

    # --- what asyncio calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._set_timer(self._silence)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        if self._answer is not None:
            try:
                return self._answer.buffer()
            except Exception as error:
                self._fail(error)
        return memoryview(bytearray(1))  # of what nobody asked for, this much is enough

    def buffer_updated(self, nbytes: int) -> None:
        """They are there."""
        answer = self._answer
        if answer is None:
            self.close()  # nobody asked
            return
        self._heard = self._loop.time()
        try:
            if answer.received(nbytes):
                self._end(answer)
        except Exception as error:
            self._fail(error)

    def eof_received(self) -> bool:
        """The server sends no more."""
        answer = self._answer
        if answer is not None:
            try:
                answer.ended()
                self._end(answer)
            except BrokenOff as error:
                self._fail(error)
        self.close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._transport = None
        error = BrokenOff("the connection broke off")
        error.__cause__ = exc
        self._fail(error)
        self._lost(self)
