"""What a folder on the agent's node declares: documents that it applies by itself.

All agents of a mesh may have the same folder (in Kubernetes a ConfigMap). They take turns by rank:
the first applies at once, the second some seconds later, and so on. A turn waits while another
member has the claim to the same content, because it was first by its own rank, or is still at it:
who comes later finds nothing left to do. What is no longer declared stays: a folder that is empty
for a moment must not delete datasets.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import structlog
from blake3 import blake3

from meshcache.agent.applying import FAILED, Outcome
from meshcache.agent.specs import Plan, plan, read
from meshcache.agent.specs.files import ENDINGS
from meshcache.errors import InvalidInput, MeshcacheError

log = structlog.get_logger()

LOOK_EVERY: Final = 2.0
"""Seconds from one look at the folder to the next."""

TURNS: Final = 3
"""Members that apply, by rank. The others do when they come to be among them."""

TURN: Final = 10.0
"""Seconds by which each further member waits longer: most origins are listed by then."""

PAUSES: Final = (5.0, 15.0, 60.0, 300.0)
"""Seconds before the next attempt, after one failure, two, ...; the last for all that follow."""

SETTLE: Final = 3.0
"""Seconds after another member was seen in which the mesh's records come."""

ALONE: Final = 30.0
"""Seconds without another member after which this one takes itself for the mesh's first."""

Stamp = tuple[tuple[str, int, int, int], ...]


class Declared:
    """One folder, and what was done about it."""

    def __init__(
        self,
        folder: Path,
        rank: Callable[[], int | None],
        apply: Callable[[Plan], AsyncIterator[Outcome]],
        claim: Callable[[str], AbstractAsyncContextManager[bool]],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is done before `follow`.

        Args:
            folder: of YAML and JSON files; it need not be there.
            rank: this member's, from 0; None if it is not of the first `TURNS`.
            apply: does what a plan says.
            claim: to some content: whether it is this member's to apply (`Claims.hold`).
            now: a clock in seconds.
        """
        self._folder = folder
        self._rank = rank
        self._apply = apply
        self._claim = claim
        self._now = now
        self._stamp: Stamp = ()
        self._done = True
        self._due = 0.0
        self._failures = 0
        self._said: set[str] = set()

    async def follow(self, others: Callable[[], bool], *, joins: bool) -> None:
        """Apply what is there, and again whenever it changes, for ever.

        Args:
            others: whether another member is there.
            joins: whether this one is to be a member of a mesh that may know the datasets already.
        """
        began = alone = self._now()
        while True:
            now = self._now()
            if not others():
                alone = now
            if not joins or now - alone >= SETTLE or now - began >= ALONE:
                await self.look()
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Do what is due."""
        stamp = await asyncio.to_thread(_stamp_of, self._folder)
        if stamp != self._stamp:
            self._stamp, self._done = stamp, not stamp
            self._due, self._failures = self._now(), 0
            self._said.clear()
        rank = self._rank()
        if self._done or rank is None or self._now() < self._due + rank * TURN:
            return
        async with self._claim(await asyncio.to_thread(_digest_of, self._folder)) as mine:
            if not mine:
                return
            self._done = await self._try()
        if not self._done:
            self._due = self._now() + PAUSES[min(self._failures, len(PAUSES) - 1)]
            self._failures += 1

    async def _try(self) -> bool:
        """Whether it need not be tried again before the folder changes."""
        try:
            made = await asyncio.to_thread(lambda: plan(read([str(self._folder)])))
        except InvalidInput as error:
            self._warn(str(error))
            return True
        errors = made.errors + [
            f"{self._folder}: a load of {load.dataset} has no name, and a declared one needs one"
            for load in made.loads
            if not load.name
        ]
        for text in (*made.warnings, *errors):
            self._warn(text)
        if errors:
            self._warn(f"nothing of {self._folder} is applied until that is corrected")
            return True
        try:
            results = [self._note(outcome) async for outcome in self._apply(made)]
        except MeshcacheError as error:
            self._warn(f"{self._folder}: {error}")
            return False
        return FAILED not in results

    def _note(self, outcome: Outcome) -> str:
        if outcome.result == FAILED:
            self._warn(f"declared {outcome.kind} {outcome.name}: {outcome.message}")
        elif outcome.result != "unchanged":
            log.info("declared", kind=outcome.kind, name=outcome.name, result=outcome.result)
        return outcome.result

    def _warn(self, text: str) -> None:
        """Once for each state of the folder, however often it is tried."""
        if text not in self._said:
            self._said.add(text)
            log.warning(text)


def _digest_of(folder: Path) -> str:
    """What members that have the same files agree about."""
    digest = blake3()
    for path in _files_in(folder):
        with contextlib.suppress(OSError):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return f"apply:{digest.hexdigest(16)}"


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in ENDINGS)


def _stamp_of(folder: Path) -> Stamp:
    """What changes when the folder's files do. The kubelet swaps a link that they lead through."""
    try:
        stats = [(path.name, path.stat()) for path in _files_in(folder)]
    except OSError:
        return ()  # not there yet, or just being swapped
    return tuple((name, stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
