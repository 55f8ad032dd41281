"""Trying again, a little: what may pass by itself within a second or two is not an error yet."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from meshcache.errors import OriginError, OriginUnreachable

T = TypeVar("T")

STALL = 30.0
"""Seconds without a byte or an answer after which a request is given up. It is not tried again:
whoever waits for it (a kernel request has 60 s) is better served by another source."""

CONNECT = 10.0
"""Seconds to connect in."""

ATTEMPTS = 4
PAUSE = 0.1
"""Seconds before the second attempt; three times as long before each further one: 1.3 s in all."""


class Transient(Exception):
    """An error that may pass, on its way to `in_attempts`. Stays within meshcache.origin."""

    def __init__(self, error: OriginError) -> None:
        super().__init__(str(error))
        self.error = error


async def in_attempts(
    work: Callable[[], Awaitable[T]],
    *,
    where: str,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """The result of `work`, tried up to `ATTEMPTS` times while it raises `Transient`.

    Raises:
        OriginError: the last one that was transient, or the first other one.
        OriginUnreachable: `work` raised TimeoutError: no byte came for `STALL` seconds.
    """
    pause = PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await work()
        except Transient as transient:
            if attempt == ATTEMPTS:
                raise transient.error from transient.__cause__
            # Many readers are turned away together; they should not come back together.
            await sleep(pause * random.uniform(0.7, 1.3))
            pause *= 3
        except TimeoutError as error:
            raise OriginUnreachable(f"{where} does not answer") from error
    raise AssertionError("unreachable")
