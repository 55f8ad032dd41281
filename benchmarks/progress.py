"""How a measuring process tells another how far it is: lines of JSON on its standard output."""

import json
import time
from typing import Any

_EVERY = 0.1


class Progress:
    """Counts bytes, and says so now and then."""

    def __init__(self) -> None:
        self.done = 0
        self.start = time.monotonic()
        self._said = self.start

    def add(self, size: int) -> None:
        """`size` more bytes were read."""
        self.done += size
        if (now := time.monotonic()) - self._said > _EVERY:
            self._said = now
            print(json.dumps({"done": self.done}), flush=True)

    def end(self, seconds: float, wrong: list[str], **more: Any) -> None:
        """The last line: what was read in which time, and the files whose bytes were wrong."""
        result = {"bytes": self.done, "seconds": seconds, "wrong": wrong, **more}
        print(json.dumps({"result": result}), flush=True)
