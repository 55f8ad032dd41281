"""Requests while no worker answers: the keeper ends those whose time is over.

When a worker has died, and again and again until another one is there, the keeper reads all
requests that wait, answers those that are over, and has the kernel put back the others. They are
over when

- it has seen them a whole deadline ago, over however many workers, or
- they were in the hands of `STRIKES` workers in a row that died young: one of them may well be
  what the workers die of.

In between they lie in the kernel's queue, where an asker can be killed at any moment.

Where the kernel cannot put back (before Linux 6.9) requests are left alone, until no worker has
come for a whole deadline; then they fail together.
"""

import errno
from collections.abc import Iterable
from typing import Protocol

from meshcache.fuse.rawrequest import RawRequest

STRIKES = 8
"""Young deaths in a row after which what was in the workers' hands each time is given up."""


class Requests(Protocol):
    """Where requests come from (`meshcache.fuse.kernel.Kernel`)."""

    @property
    def resends(self) -> bool:
        """Whether what was read can be put back."""
        ...

    def take(self) -> list[RawRequest]:
        """Read all that wait."""
        ...

    def fail(self, request: RawRequest, number: int) -> None:
        """Answer one that was read with this errno."""
        ...

    def resend(self) -> None:
        """Put back what was read and not answered."""
        ...


class StandIn:
    """Answers for a mount while it has no worker: as little as need be."""

    def __init__(self, kernel: Requests, *, deadline: float, too_late: int) -> None:
        """`deadline` is in seconds, `too_late` the errno for what it has passed for."""
        self._kernel = kernel
        self._deadline = deadline
        self._too_late = too_late
        self._seen: dict[int, float] = {}
        """Number -> when it was seen first."""
        self._strikes: dict[int, int] = {}

    def died(self, now: float, *, young: bool) -> None:
        """The worker has died, and left what it was answering."""
        if not self._kernel.resends:
            return
        waited = {request.number for request in self._kernel.take()}
        self._kernel.resend()
        requests = _answerable(self._kernel.take())
        before = self._strikes if young else {}
        self._strikes = {
            request.number: before.get(request.number, 0) + young
            for request in requests
            if request.number not in waited
        }
        self._end_what_is_over(requests, now)

    def look(self, now: float, *, since: float) -> None:
        """There has been no worker since then; to be called every second or so."""
        if self._kernel.resends:
            self._end_what_is_over(_answerable(self._kernel.take()), now)
        elif now >= since + self._deadline:
            for request in _answerable(self._kernel.take()):
                self._kernel.fail(request, self._too_late)

    def _end_what_is_over(self, requests: list[RawRequest], now: float) -> None:
        self._seen = {r.number: self._seen.get(r.number, now) for r in requests}
        for request in requests:
            if self._strikes.get(request.number, 0) >= STRIKES:
                self._kernel.fail(request, errno.EIO)
            elif now >= self._seen[request.number] + self._deadline:
                self._kernel.fail(request, self._too_late)
        self._kernel.resend()


def _answerable(requests: Iterable[RawRequest]) -> list[RawRequest]:
    return [request for request in requests if request.wants_answer]
