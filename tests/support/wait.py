"""Waiting for what will come true, with a deadline. No test sleeps until it probably has."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_EVERY = 0.02


def _late(check: Callable[[], object], within: float, last: object) -> AssertionError:
    name = getattr(check, "__qualname__", repr(check))
    return AssertionError(f"{name} was not true within {within} s; last: {last!r}")


async def eventually(
    check: Callable[[], T | Awaitable[T]], *, within: float = 10.0, every: float = _EVERY
) -> T:
    """The first true value of `check`, a function or a coroutine function.

    An AssertionError of `check` means "not yet" as a false value does; any other error ends the
    wait.

    Raises:
        AssertionError: `check` was not true within `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        last: object
        try:
            value = check()
            result: T = await value if inspect.isawaitable(value) else value
            if result:
                return result
            last = result
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            raise _late(check, within, last)
        await asyncio.sleep(every)


def wait_until(check: Callable[[], T], *, within: float = 10.0, every: float = _EVERY) -> T:
    """`eventually` for tests without a loop: blocks.

    Raises:
        AssertionError: `check` was not true within `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        last: object
        try:
            result = check()
            if result:
                return result
            last = result
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            raise _late(check, within, last)
        time.sleep(every)
