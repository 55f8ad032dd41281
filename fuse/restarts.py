"""How soon a worker that died is replaced: at once, unless workers die one after the other."""

PAUSES = (0.0,) * 8 + (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before the next worker begins, after one short life, two, ...; the last for all that
follow."""

SHORT_LIFE = 1.0
"""Seconds: a worker that served longer was sound, and its death is the first of a new row."""

LOOP = 9
"""Short lives in a row that are called a crash loop: from here on there are pauses."""


class Restarts:
    """The deaths of a mount's workers."""

    def __init__(self) -> None:
        self.deaths = 0
        """All of them."""
        self._row = 0

    @property
    def looping(self) -> bool:
        """Whether workers die one after the other."""
        return self._row >= LOOP

    def died(self, lived: float) -> float:
        """One has died that served for `lived` seconds, 0 if it never did; gives the pause."""
        self.deaths += 1
        self._row = 1 if lived > SHORT_LIFE else self._row + 1
        return PAUSES[min(self._row, len(PAUSES)) - 1]

    def sound(self) -> bool:
        """The present one has served long enough; gives whether that ends a crash loop."""
        was, self._row = self.looping, 0
        return was
