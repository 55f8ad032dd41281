"""The file that the kernel's requests come from, watched by the event loop.

The first request, FUSE_INIT, comes on a socket (`meshcache.fuse.handshake`). When it is answered,
nothing of the second was read, so the device takes the socket's number (dup2), as soon as the
keeper gives it.
"""

import asyncio
import os
import select
import time
from collections.abc import Callable


class Device:
    """Where requests come from: a socket for the first one, then the device."""

    def __init__(self, first: int) -> None:
        """Begin with descriptor `first`, for one request."""
        self.number = first
        """What libfuse knows, and stays."""
        self.ended = asyncio.Event()
        """Set when the file system was unmounted, or its connection aborted."""
        self.behind = 0.0
        """Seconds for which the next request may have waited; 0 once there was none."""
        self._then: int | None = None
        self._serve: Callable[[], None] | None = None
        self._is_answered = False
        self._watched = False
        self._left = False
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()

    def go_on_with(self, device: int, behind: float = 0.0) -> None:
        """Take all requests after the first from this descriptor, which is closed; those that are
        there may have waited for `behind` seconds."""
        self._then, self.behind = device, behind
        self._change_files()

    def watch(self, serve: Callable[[], None]) -> None:
        """Have `serve` called whenever there are requests, from now on."""
        self._serve = serve
        self._loop.add_reader(self.number, self._first)

    def _first(self) -> None:
        assert self._serve is not None
        self._loop.remove_reader(self.number)
        self._serve()
        self._is_answered = True
        self._change_files()

    def _change_files(self) -> None:
        if self._then is None or not self._is_answered:
            return
        os.dup2(self._then, self.number, inheritable=False)
        os.close(self._then)
        self._poll.register(self.number, select.POLLIN)
        self.has_more()
        self.resume()

    def resume(self) -> None:
        """Look for requests again."""
        if self._serve is not None and not self._watched and not self._left:
            self._loop.add_reader(self.number, self._serve)
            self._watched = True

    def leave(self) -> None:
        """Read no more requests: they are another one's."""
        self._left = True
        self.pause()

    @property
    def left(self) -> bool:
        """Whether its requests are another one's."""
        return self._left

    def pause(self) -> None:
        """Leave requests to the kernel, until `resume`."""
        if self._watched:
            self._loop.remove_reader(self.number)
            self._watched = False

    def has_more(self) -> bool:
        """Whether there is another request now. Sets `ended` once there will be none."""
        for _, events in self._poll.poll(0):
            if events & ~select.POLLIN:  # a device without a file system shows an error
                self.ended.set()
                return False
            return True
        self.behind = 0.0
        return False

    def has_more_within(self, seconds: float) -> bool:
        """Whether another request comes so soon. Waits for it without sleeping, but whoever would
        run on this core goes first: it may be the asker."""
        until = time.perf_counter() + seconds
        while not self.ended.is_set() and time.perf_counter() < until:
            os.sched_yield()
            if self.has_more():
                return True
        return False
