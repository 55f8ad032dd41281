"""Signals as something to read, beside other files."""

import contextlib
import signal
import socket
from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def readable(numbers: Sequence[signal.Signals]) -> Iterator[socket.socket]:
    """A socket on which each of these signals arrives as a byte: its number. In the main thread."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        with ours, theirs:
            yield ours
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
