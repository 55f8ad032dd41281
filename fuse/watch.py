"""One worker as its keeper last heard of it: whether it hangs, and what waits in its hands.

It is asked now and then, and says which requests wait, and for how long. Its loop may stand still
for a disk that does not answer, or the process may have been stopped. What it has in its hands then
passes no deadline, so its keeper ends it: after a while, or at once if a request should have ended.
"""

import math
from collections.abc import Callable, Sequence

from meshcache.fuse.messages import Waiting
from meshcache.fuse.rawrequest import Asked, RawRequest

_LEAST, _MOST = 2.0, 20.0
"""Seconds of silence after which a worker is taken to hang: half a request's deadline, within
these; the least of them if a request should have ended."""

_QUESTIONS = 3
"""Questions in that time that were not answered."""

_OFTEN = 0.05
"""Seconds between two questions at least."""


def _never() -> float:
    return math.inf


class Watch:
    """What was heard of a worker."""

    def __init__(self, deadline: float, now: float, over_at: Callable[[], float] = _never) -> None:
        """It begins to answer.

        Args:
            deadline: a request's, in seconds.
            over_at: when the first of those has to end that it does not know to be old.
        """
        self._deadline = deadline
        self._over_at = over_at
        self._patience = min(max(deadline / 2, _LEAST), _MOST)
        self._asked = self._silent_since = now
        self._unanswered = 0
        self._told_at = now
        self._waiting: dict[Asked, float] = {}

    def heard(self) -> None:
        """It said something."""
        self._unanswered = 0

    def told(self, now: float, waiting: Sequence[Waiting], unlisted: float) -> None:
        """It said what waits in its hands (`Pong`)."""
        self._told_at = now - unlisted
        self._waiting = {}
        for one in waiting:
            asked = Asked(one.opcode, one.inode, one.offset)
            self._waiting[asked] = min(self._waiting.get(asked, math.inf), now - one.age)

    def since(self, request: RawRequest) -> float:
        """When a request that it may have in its hands was read, or before: what it has not told of
        came after it last told, an eighth of a deadline ago if it does not hang."""
        return self._waiting.get(request.asked, self._told_at)

    # --- asking -----------------------------------------------------------------------------

    def asks(self, now: float) -> bool:
        """Whether to ask now; if so, that is noted."""
        if self.next(now) > 0:
            return False
        self._asked = now
        self._silent_since = self._silent_since if self._unanswered else now
        self._unanswered += 1
        return True

    def next(self, now: float) -> float:
        """Seconds until it is to be asked again."""
        usual = self._asked + self._pause(self._patience)
        late = max(self._first_over(), self._asked + self._pause(_LEAST))
        return max(0.0, min(usual, late) - now)

    def _pause(self, patience: float) -> float:
        return max(_OFTEN, min(patience / 4, self._deadline / 8))

    def _first_over(self) -> float:
        oldest = min(self._waiting.values(), default=math.inf)
        return min(oldest + self._deadline, self._over_at())

    def hangs(self, now: float) -> bool:
        """Whether it was silent for too long. It must have been asked several times: a keeper that
        stood still itself does not know."""
        patience = _LEAST if now >= self._first_over() else self._patience
        return self._unanswered >= _QUESTIONS and now > self._silent_since + patience
