"""Waiting for several files at once, each with what is to be done then: poll(2)."""

import select
from collections.abc import Callable
from typing import Protocol


class HasFile(Protocol):
    def fileno(self) -> int: ...


class Poll:
    """Files that are waited for."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._calls: dict[int, Callable[[], None]] = {}

    def add(
        self, file: int | HasFile, call: Callable[[], None], events: int = select.POLLIN
    ) -> None:
        """Call it when there is something to read (or what `events` says), or the other end is
        gone."""
        number = _number(file)
        self._calls[number] = call
        self._poll.register(number, events)

    def drop(self, file: int | HasFile) -> None:
        """Wait for it no more, if it was waited for."""
        number = _number(file)
        if self._calls.pop(number, None) is not None:
            self._poll.unregister(number)

    def step(self, timeout: float | None) -> None:
        """Wait until something has happened, at most `timeout` seconds, and call for it."""
        for number, _ in self._poll.poll(None if timeout is None else max(0.0, timeout) * 1000):
            call = self._calls.get(number)
            if call is not None:  # else an earlier call of this step dropped it
                call()


def _number(file: int | HasFile) -> int:
    return file if isinstance(file, int) else file.fileno()
