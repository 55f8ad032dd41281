"""The worker's side of opens: what the agent wants to hear of them, and its word on each.

Under most policies it wants to hear nothing, and an open costs no word. All methods belong to the
loop's thread.
"""

import asyncio
from collections.abc import Callable

from meshcache.errors import DeadlineExceeded, from_wire
from meshcache.fuse.messages import Checked, Opened, Opens, encode
from meshcache.fuse.packets import PacketSocket
from meshcache.fuse.tree import Found

TELL_EVERY = 0.2
"""Seconds between two words that files are opened."""


class OpenWatch:
    """Tells the agent of opens, or asks it."""

    def __init__(self, now: Callable[[], float], first: int = 0) -> None:
        """`now` is in seconds, from any beginning; `first` as in `Blocks`."""
        self._now = now
        self._door: PacketSocket | None = None
        self._mode = ""
        self._told = float("-inf")
        self._seq = first
        self._asked: dict[int, asyncio.Future[Checked]] = {}

    @property
    def wants(self) -> bool:
        """Whether `opened` has to be called at all."""
        return bool(self._mode) and self._door is not None

    def use(self, door: PacketSocket, message: Opens) -> None:
        """Do as the agent behind that door says."""
        self._door, self._mode = door, message.mode

    def lose_door(self) -> None:
        """There is nobody to ask: files open as they are, until there is."""
        self._door = None
        for asked in self._asked.values():
            if not asked.done():
                asked.set_result(Checked(0))

    def take(self, message: Checked) -> None:
        """The agent's word on a file."""
        asked = self._asked.get(message.seq)
        if asked is not None and not asked.done():
            asked.set_result(message)

    async def opened(self, found: Found, until: float) -> None:
        """A file is opened; wait for the agent if it wants that, at most until that time.

        Raises:
            DeadlineExceeded: it said nothing in time.
            MeshcacheError: it says that the file cannot be opened: ObjectChanged has the kernel
                look its name up anew.
        """
        if self._door is None:
            return
        now = self._now()
        if self._mode == "tell":
            if now - self._told >= TELL_EVERY:
                self._told = now
                self._door.send(encode(Opened(0, b"", 0)))
            return
        self._seq += 1
        seq = self._seq
        asked = self._asked[seq] = asyncio.get_running_loop().create_future()
        try:
            self._door.send(encode(Opened(seq, bytes.fromhex(found.snapshot.id), found.row)))
            # Not asyncio.timeout: a handler has no task yet (`meshcache.fuse.session_loops`).
            await asyncio.wait([asked], timeout=until - self._now())
        finally:
            del self._asked[seq]
        if not asked.done():
            raise DeadlineExceeded(f"whether inode {found.inode} has changed did not come in time")
        answer = asked.result()
        if answer.error:
            raise from_wire(answer.error, answer.message)
