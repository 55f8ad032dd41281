"""The keeper's part in requests: it puts back what a dead worker had, and ends what is over.

When a worker has died, and again and again until another one is there, the keeper reads all
requests that wait, answers those that are over, and has the kernel put back the others. In between
they lie in the kernel's queue, where an asker can be killed at any moment. They are over when

- they were first read a whole deadline ago, over however many workers, or
- they were in the hands of `STRIKES` workers in a row that died young: one of them may well be
  what the workers die of.

When a request was first read, the worker has said (`meshcache.fuse.watch`). From then on the keeper
knows it by its number, and ends it itself also while another worker has it: that one does not know
of the time before, and its own answer, when it comes, is nobody's.

Where the kernel cannot put back (before Linux 6.9) requests are left alone until no worker has come
for a whole deadline; then they fail together. Else the next worker is told how long they may have
waited.
"""

import errno
import math
from collections.abc import Callable, Iterable
from typing import Protocol

from meshcache.fuse.rawrequest import RawRequest, sent_again

STRIKES = 8
"""Young deaths in a row after which what was in the workers' hands each time is given up."""

LINGER = 2.0
"""Seconds beyond its deadline for which a request is tried to be ended that is in nobody's hands:
it may lie in the queue. Mostly it was answered long ago."""

Since = Callable[[RawRequest], float]
"""When a request was first read, or before."""


class Requests(Protocol):
    """Where requests come from (`meshcache.fuse.kernel.Kernel`)."""

    @property
    def resends(self) -> bool:
        """Whether what was read can be put back."""
        ...

    def take(self) -> list[RawRequest]:
        """Read all that wait."""
        ...

    def fail(self, unique: int, number: int) -> bool:
        """Answer one that was read with this errno. False if nobody has it."""
        ...

    def resend(self) -> None:
        """Put back what was read and not answered."""
        ...


class StandIn:
    """Answers for a mount's workers: as little as need be."""

    def __init__(self, kernel: Requests, *, deadline: float, too_late: int) -> None:
        """`deadline` is in seconds, `too_late` the errno for what it has passed for."""
        self._kernel = kernel
        self._deadline = deadline
        self._too_late = too_late
        self._since: dict[int, float] = {}
        """Number -> when it was first read, of all that have outlived a worker."""
        self._strikes: dict[int, int] = {}
        self._alone_since = 0.0

    # --- while no worker answers ------------------------------------------------------------

    def alone(self, now: float) -> None:
        """Nobody reads requests from now on."""
        self._alone_since = now

    def died(self, now: float, *, young: bool, since: Since) -> None:
        """The worker has died, and left what it was answering. Nobody reads."""
        self.alone(now)
        if not self._kernel.resends:
            return
        waited = {request.number for request in self._kernel.take()}
        requests = self._take_back()
        before = self._strikes if young else {}
        self._strikes = {
            request.number: before.get(request.number, 0) + young
            for request in requests
            if request.number not in waited
        }
        self._put_back(requests, now, since)

    def look(self, now: float) -> None:
        """There is still no worker; to be called every second or so."""
        if self._kernel.resends:
            self._put_back(_answerable(self._kernel.take()), now, lambda _: now)
        elif now >= self._alone_since + self._deadline:
            for request in _answerable(self._kernel.take()):
                self._kernel.fail(request.unique, self._too_late)
            self.alone(now)

    def waited(self, now: float) -> float:
        """Seconds for which requests may have waited whose ends are left to the next worker."""
        return 0.0 if self._kernel.resends else now - self._alone_since

    # --- while one does ---------------------------------------------------------------------

    def lost(self, now: float, since: Since) -> None:
        """A worker that read no more has died, and left what it was answering. The one that reads
        stands still meanwhile, and gets again what it has in its hands."""
        if self._kernel.resends:
            self._put_back(self._take_back(), now, since)

    @property
    def over_at(self) -> float:
        """When the first request has to end that has outlived a worker; infinite if there is none.
        Then it is time for `end`."""
        return min(self._since.values(), default=math.inf) + self._deadline

    def end(self, now: float) -> None:
        """End what is over in a worker's hands."""
        over = [number for number, since in self._since.items() if now >= since + self._deadline]
        for number in over:
            ended = self._kernel.fail(sent_again(number), self._too_late)
            if ended or now >= self._since[number] + self._deadline + LINGER:
                del self._since[number]

    # --- both -------------------------------------------------------------------------------

    def _take_back(self) -> list[RawRequest]:
        self._kernel.resend()
        return _answerable(self._kernel.take())

    def _put_back(self, requests: list[RawRequest], now: float, since: Since) -> None:
        """All but those that are over."""
        for request in requests:
            began = self._since.setdefault(request.number, since(request))
            if self._strikes.get(request.number, 0) >= STRIKES:
                self._kernel.fail(request.unique, errno.EIO)
            elif now >= began + self._deadline:
                self._kernel.fail(request.unique, self._too_late)
                del self._since[request.number]
        self._kernel.resend()


def _answerable(requests: Iterable[RawRequest]) -> list[RawRequest]:
    return [request for request in requests if request.wants_answer]
