"""Seeing that a worker hangs: it is asked to say something now and then, and does not.

Its loop may stand still for a disk that does not answer, or the process may have been stopped. What
it has in its hands then passes no deadline, so its keeper ends it.
"""

_LEAST, _MOST = 2.0, 20.0
"""Seconds of silence after which a worker is taken to hang: half a request's deadline, within
these."""

_QUESTIONS = 3
"""Questions in that time that were not answered."""


class Watch:
    """When a worker was heard of."""

    def __init__(self, deadline: float) -> None:
        """`deadline` is a request's, in seconds."""
        self.patience = min(max(deadline / 2, _LEAST), _MOST)
        """Seconds."""
        self._asked = self._since = 0.0
        self._unanswered = 0

    @property
    def every(self) -> float:
        """Seconds between two questions."""
        return self.patience / 4

    def begin(self, now: float) -> None:
        """Another worker is watched from now on."""
        self._asked = now
        self._unanswered = 0

    def heard(self) -> None:
        """It said something."""
        self._unanswered = 0

    def is_due(self, now: float) -> bool:
        """Whether to ask now; if so, that is noted."""
        if now - self._asked < self.every:
            return False
        self._asked = now
        self._since = self._since if self._unanswered else now
        self._unanswered += 1
        return True

    def hangs(self, now: float) -> bool:
        """Whether it was silent for too long. It must have been asked several times: a keeper that
        stood still itself does not know."""
        return self._unanswered >= _QUESTIONS and now - self._since > self.patience
