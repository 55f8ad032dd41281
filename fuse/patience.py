"""How long the worker looks for the next request before it sleeps.

One process that reads small pieces asks again within some 10 us of an answer. To sleep meanwhile
and be woken takes two switches of the processor and a turn of the event loop: longer than that, and
than most answers. So who is asked again so soon goes on looking. The rule is that of KVM for halted
guests (Linux, Documentation/virt/kvm/halt-polling.rst): look only if that would have been enough
the last time.

It is for a lone asker. Where the next request is there already as one has been answered there are
several, and what looks for their requests takes the processor from them.
"""

LONGEST = 50e-6
"""Seconds. A process that is woken on another core asks again after 5 to 30 us."""
ALONE = 16
"""After so many requests that were not there at once there is one asker."""


class Patience:
    """The patience of one worker, in seconds. `seconds` is for how long to look, now."""

    def __init__(self) -> None:
        """Have none at first."""
        self.seconds = 0.0
        self._answered = 0.0
        self._apart = 0

    def woken(self, now: float) -> None:
        """A request came while the worker slept."""
        self._apart += 1
        soon = now - self._answered < LONGEST
        self.seconds = LONGEST if soon and self._apart >= ALONE else 0.0

    def found(self) -> None:
        """A request came while the worker looked for it."""
        self._apart += 1

    def crowded(self) -> None:
        """A request was there already as the one before it had been answered."""
        self._apart = 0
        self.seconds = 0.0

    def answered(self, now: float) -> None:
        """No request is there; `seconds` tells what to do."""
        self._answered = now
