"""The members of one subject, and who said what of whom, when.

A time is taken when a member's line reaches this process, so it holds the latency of its log (below
a millisecond while a CPU is free).
"""

import contextlib
import os
import random
import selectors
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from benchmarks.membership.subjects import Place, Running, Subject
from tests.support.namespaces import Namespaces

LOOK_EVERY = 0.02
"""Seconds between two looks whether what is awaited has come; the times are not taken then."""
START_WITHIN = 60.0


Row = dict[str, float | None]
"""A sample: column -> number, None where it did not happen in time."""


class NotInTime(Exception):
    """What was awaited did not come."""


@dataclass
class Member:
    """A running member."""

    name: str
    side: str
    started: float
    running: Running
    last: bytes = b""
    """The beginning of a line that has not ended yet."""
    ended: bool = False


@dataclass
class Times:
    """Seconds from some moment to when each of the observers said something."""

    by: dict[str, float]
    missing: set[str] = field(default_factory=set)
    """Observers who did not say it."""

    @property
    def first(self) -> float | None:
        """The first to say it."""
        return min(self.by.values(), default=None)

    @property
    def all(self) -> float | None:
        """The last one; None if not all said it."""
        return None if self.missing or not self.by else max(self.by.values())


class Mesh:
    """Members of one subject, driven and listened to. Time is seconds of the monotonic clock."""

    def __init__(self, subject: Subject, network: Namespaces, rng: random.Random) -> None:
        """No member yet."""
        self.subject, self.network, self.rng = subject, network, rng
        self.members: dict[str, Member] = {}
        """The living."""
        self._said: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
        self._started = 0
        self._selector = selectors.DefaultSelector()

    @staticmethod
    def now() -> float:
        """The time."""
        return time.monotonic()

    # --- members

    def start(self, side: str = "near") -> Member:
        """Start a member; all but the first join through the first."""
        number = self._started = self._started + 1
        host = self.network.address(side, number)
        seeds = [] if number == 1 else [self.network.address("near", 1)]
        place = Place(f"n{number}", side, host, seeds)
        started = self.now()
        member = Member(place.name, side, started, self.subject.start(place))
        self.members[member.name] = member
        self._selector.register(member.running.lines, selectors.EVENT_READ, member)
        return member

    def names(self, *without: Member) -> set[str]:
        """The living but these."""
        return self.members.keys() - {member.name for member in without}

    def pick(self) -> Member:
        """Any but the first, which the others join through."""
        return self.rng.choice(list(self.members.values())[1:])

    def signal(self, member: Member, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(member.running.pid, number)

    def kill(self, member: Member) -> None:
        """SIGKILL, and it is no longer one of the living."""
        del self.members[member.name]
        self.signal(member, signal.SIGKILL)

    def leave(self, member: Member) -> None:
        """Have it leave, and it is no longer one of the living."""
        del self.members[member.name]
        member.running.leave()

    # --- listening

    def rest(self, seconds: float) -> None:
        """Listen for so long."""
        end = self.now() + seconds
        while (left := end - self.now()) > 0:
            self._listen(left)

    def wait(self, done: Callable[[], bool], within: float, every: float = LOOK_EVERY) -> bool:
        """Listen until `done`, at most `within` seconds; whether it is."""
        end = self.now() + within
        while not done():
            if self.now() >= end:
                return False
            self.rest(every)
        return True

    def need(
        self, done: Callable[[], bool], within: float, what: str, every: float = LOOK_EVERY
    ) -> None:
        """As `wait`.

        Raises:
            NotInTime: it did not come true.
        """
        if not self.wait(done, within, every):
            raise NotInTime(f"{what}: not within {within:.0f} s")

    def wait_for_end(self, member: Member) -> None:
        """Wait until its process is gone.

        Raises:
            NotInTime: it is still there.
        """
        self.need(lambda: member.ended, 30, f"the end of {member.name}")

    def _listen(self, within: float) -> None:
        for key, _ in self._selector.select(within):
            member: Member = key.data
            data = b""
            with contextlib.suppress(ConnectionResetError):
                data = os.read(key.fd, 65536)
            now = self.now()
            if not data:
                self._selector.unregister(key.fd)
                member.running.close()
                member.ended = True
                continue
            *lines, member.last = (member.last + data).split(b"\n")
            for line in lines:
                if heard := self.subject.understand(line.decode(errors="replace")):
                    self._said[heard].append((now, member.name))

    # --- asking

    def times(
        self, words: str | Iterable[str], about: str, since: float, observers: Iterable[str]
    ) -> Times:
        """When each of the observers first said one of these words about it, after `since`."""
        missing, by = set(observers), {}
        chosen = [words] if isinstance(words, str) else words
        for when, name in sorted(said for word in chosen for said in self._said[word, about]):
            if when >= since and name in missing:
                missing.discard(name)
                by[name] = when - since
        return Times(by, missing)

    def all_said(
        self, words: str | Iterable[str], about: str, since: float, observers: Iterable[str]
    ) -> Callable[[], bool]:
        """Whether all of them have."""
        names = set(observers)
        return lambda: not self.times(words, about, since, names).missing

    def said(self, word: str, since: float) -> list[tuple[float, str, str]]:
        """All that was said with this word: (when, by, about)."""
        return sorted(
            (when, by, about)
            for (spoken, about), saying in self._said.items()
            if spoken == word
            for when, by in saying
            if when >= since
        )

    # --- beginning and end

    def join(self, side: str = "near") -> tuple[Member, Times]:
        """Start one and wait until all know it.

        Raises:
            NotInTime: not all did.
        """
        observers = self.names()
        member = self.start(side)
        known = self.all_said("joined", member.name, member.started, observers)
        self.need(known, START_WITHIN, f"the join of {member.name}")
        return member, self.times("joined", member.name, member.started, observers)

    def close(self) -> None:
        """Kill everybody."""
        for member in list(self.members.values()):
            self.kill(member)
        with contextlib.suppress(TimeoutError):
            self.wait(lambda: not self._selector.get_map(), 10)
        self._selector.close()
        self.subject.close()
