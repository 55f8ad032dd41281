"""Mesh keys: those of this member, and their change in the whole mesh without downtime.

Serf's three steps, each done everywhere before the next: install the new key, use it, remove the
old one. Between the steps members with the old and with the new key in use understand each other.
Whoever is asked carries a step out by a query to all, and asks again until all say that it is
done. A key travels over CURVE links only, from member to member.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from meshcache.gossip.core.events import KeysChanged, Member, QueryAsked, State
from meshcache.gossip.errors import GossipError, KeyNotReady
from meshcache.gossip.keyring import KeyRing
from meshcache.gossip.talk import RESERVED, Answers, Talk
from meshcache.gossip.tasks import Tasks

QUERY = RESERVED + "keys"
QUERY_TIMEOUT = 3.0
WITHIN = 15.0
"""How long a step may take until those that have not done it are named."""
ASK_AGAIN = 0.5
SPREAD = (0.1, 0.6)
"""A member changes its key so many seconds after it was told: not all at the same moment, and not
before its answer is on the way, for its links end with the old key."""
LEAVES_NAMED = 128
"""Leaves that a host's report names, for the rest would not fit into an answer."""


class _Install(msgspec.Struct, array_like=True, tag=1):
    key: bytes


class _Use(msgspec.Struct, array_like=True, tag=2):
    id: str


class _Remove(msgspec.Struct, array_like=True, tag=3):
    id: str


class _Tell(msgspec.Struct, array_like=True, tag=4):
    pass


_Order = _Install | _Use | _Remove | _Tell
_orders: msgspec.msgpack.Decoder[_Order] = msgspec.msgpack.Decoder(_Order)


class _Report(msgspec.Struct, array_like=True):
    """What a member answers."""

    ids: list[str]
    """Of its keys, the one in use first."""
    error: str = ""
    leaves: list[bytes] = []
    """The first 4 B of the uids of the leaves that it serves."""


_reports = msgspec.msgpack.Decoder(_Report)


@dataclass(frozen=True, slots=True)
class KeyHolders:
    """One key, and how many members have it."""

    id: str
    held_by: int
    used_by: int


@dataclass(frozen=True, slots=True)
class KeyList:
    """The keys of the mesh, the most used first."""

    keys: list[KeyHolders]
    members: int
    """How many told."""
    silent: list[str]
    """Who did not."""


@dataclass(frozen=True, slots=True)
class KeyStep:
    """How far one step of a rotation came."""

    id: str
    """The key's."""
    done: list[str]
    """Names of the members that have done it."""
    failed: dict[str, str]
    """Name of each member that has not -> why."""


class Rotation:
    """The keys of one member, and what it does about those of the mesh."""

    def __init__(
        self,
        ring: KeyRing,
        talk: Talk,
        *,
        members: Callable[[], list[Member]],
        leaves: Callable[[], list[Member]],
        me: Callable[[], Member],
        changed: Callable[[KeysChanged, bool, set[str]], Awaitable[None]],
        tasks: Tasks,
    ) -> None:
        """`changed` is awaited after each change of the ring with the new ids, whether another key
        is in use, and which were removed."""
        self._ring = ring
        self._talk = talk
        self._members = members
        self._leaves = leaves
        self._me = me
        self._changed = changed
        self._tasks = tasks
        self._changing = asyncio.Lock()
        """Held from a change until it is kept: who asks meanwhile waits, for it is not done yet."""

    # --- this member alone

    async def install_here(self, key: bytes) -> str:
        """Accept another key beside the one in use; its id.

        Raises:
            InvalidSettings: fewer than 16 bytes, or too many keys.
        """
        identity = ""

        def install() -> None:
            nonlocal identity
            identity = self._ring.install(key)

        await self._change(install)
        return identity

    async def use_here(self, identity: str) -> None:
        """Listen and connect with an installed key from now on.

        Raises:
            InvalidSettings: no key of this id is installed.
        """
        await self._change(lambda: self._ring.use(identity))

    async def remove_here(self, identity: str) -> None:
        """Accept a key no longer, and end the links that were made with it.

        Raises:
            InvalidSettings: it is the one in use.
        """
        await self._change(lambda: self._ring.remove(identity))

    async def _change(self, change: Callable[[], None]) -> None:
        async with self._changing:
            before = self._ring.ids
            change()
            after = self._ring.ids
            if after != before:
                event = KeysChanged(tuple(after))
                await self._changed(event, after[0] != before[0], set(before) - set(after))

    def asked(self, query: QueryAsked) -> None:
        """A member says what is to be done."""
        self._tasks.start(self._obey(query), "gossip keys")

    async def _obey(self, query: QueryAsked) -> None:
        try:
            order = _orders.decode(query.payload)
        except msgspec.MsgspecError:
            return
        report = await self._carry_out(order)
        self._talk.answer(query, msgspec.msgpack.encode(report))

    async def _carry_out(self, order: _Order) -> _Report:
        error = ""
        try:
            match order:
                case _Install(key=key):
                    await self.install_here(key)
                case _Use(id=identity):
                    self._ring.find(identity)
                    self._tasks.start(self._use_soon(identity), "gossip use key")
                case _Remove(id=identity):
                    await self.remove_here(identity)
        except GossipError as problem:
            error = str(problem)[:200]
        leaves = [bytes.fromhex(leaf.uid)[:4] for leaf in self._leaves()[:LEAVES_NAMED]]
        async with self._changing:
            return _Report(self._ring.ids, error, leaves)

    async def _use_soon(self, identity: str) -> None:
        await asyncio.sleep(random.uniform(*SPREAD))
        await self.use_here(identity)

    # --- the mesh

    async def install(self, key: bytes) -> KeyStep:
        """Have all members accept another key; first of the three steps.

        Raises:
            InvalidSettings: a key that cannot be used.
        """
        identity = await self.install_here(key)
        return await self._everywhere(identity, _Install(key), lambda ids: identity in ids)

    async def use(self, identity: str) -> KeyStep:
        """Have all members use an installed key; second step.

        Raises:
            KeyNotReady: not all members hold it, or some do not answer; nothing was changed.
        """
        await self._require(identity, "does not hold it", lambda ids: identity in ids)
        return await self._everywhere(identity, _Use(identity), lambda ids: ids[0] == identity)

    async def remove(self, identity: str) -> KeyStep:
        """Have all members forget a key that none uses; last step.

        Raises:
            KeyNotReady: somebody uses it, or some do not answer; nothing was changed.
        """
        await self._require(identity, "uses it", lambda ids: ids[0] != identity)
        return await self._everywhere(identity, _Remove(identity), lambda ids: identity not in ids)

    async def survey(self) -> KeyList:
        """Which keys the members hold and use."""
        names = self._asked()
        reports = await self._ask(_Tell(), names)
        held: dict[str, list[int]] = {}
        for report in reports.values():
            for place, identity in enumerate(report.ids):
                count = held.setdefault(identity, [0, 0])
                count[0] += 1
                count[1] += place == 0
        keys = [KeyHolders(identity, *counts) for identity, counts in held.items()]
        keys.sort(key=lambda key: (-key.used_by, -key.held_by, key.id))
        return KeyList(keys, len(reports), sorted(self._silent(names, reports).values()))

    async def _require(
        self, identity: str, trouble: str, good: Callable[[list[str]], bool]
    ) -> None:
        names = self._asked()
        reports = await self._ask(_Tell(), names)
        problems = [f"{name} does not answer" for name in self._silent(names, reports).values()]
        labels = names | self._leaf_labels(names, reports)
        problems += [
            f"{labels.get(uid, uid[:8])} {trouble}"
            for uid, report in reports.items()
            if not good(report.ids)
        ]
        if problems:
            raise KeyNotReady(f"key {identity}: {', '.join(sorted(problems))}; nothing was changed")

    async def _everywhere(
        self, identity: str, order: _Order, good: Callable[[list[str]], bool]
    ) -> KeyStep:
        names = self._asked()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WITHIN
        reports: dict[str, _Report] = {}
        errors: dict[str, str] = {}
        done: list[str] = []
        failed: dict[str, str] = {}
        while True:
            reports |= await self._ask(order, names)
            errors |= {uid: report.error for uid, report in reports.items() if report.error}
            self._drop_left(names)
            labels = names | self._leaf_labels(names, reports)
            done = [
                name for uid, name in labels.items() if uid in reports and good(reports[uid].ids)
            ]
            failed = {
                name: errors.get(uid)
                or ("has not done it yet" if uid in reports else "does not answer")
                for uid, name in labels.items()
                if uid not in reports or not good(reports[uid].ids)
            }
            hopeless = sum(name in failed for uid, name in labels.items() if uid in errors)
            if len(failed) == hopeless or loop.time() > deadline:
                return KeyStep(identity, sorted(done), failed)
            await asyncio.sleep(ASK_AGAIN)
            order = _Tell() if reports.keys() >= names.keys() else order

    async def _ask(self, order: _Order, names: dict[str, str]) -> dict[str, _Report]:
        """What the members answer, this one among them, by uid."""
        me = self._me().uid
        reports = {me: await self._carry_out(order)}
        read: set[str] = set()

        def enough(answers: Answers) -> bool:
            for uid in answers.replies.keys() - read:
                read.add(uid)
                with suppress(msgspec.MsgspecError):
                    report = _reports.decode(answers.replies[uid])
                    if report.ids:
                        reports[uid] = report
            return not self._silent(names, reports)

        await self._talk.query(
            QUERY, msgspec.msgpack.encode(order), enough=enough, timeout=QUERY_TIMEOUT
        )
        return reports

    def _asked(self) -> dict[str, str]:
        """Uid -> name of those that must answer."""
        living = [m for m in self._members() if m.state in (State.ALIVE, State.SUSPECT)]
        names = [member.name for member in living]
        return {
            m.uid: m.name if names.count(m.name) == 1 else f"{m.name} ({m.uid[:8]})" for m in living
        }

    def _drop_left(self, names: dict[str, str]) -> None:
        for member in self._members():
            if member.state is State.LEFT:
                names.pop(member.uid, None)

    def _silent(self, names: dict[str, str], reports: dict[str, _Report]) -> dict[str, str]:
        labels = names | self._leaf_labels(names, reports)
        return {uid: name for uid, name in labels.items() if uid not in reports}

    @staticmethod
    def _leaf_labels(names: dict[str, str], reports: dict[str, _Report]) -> dict[str, str]:
        """Uid, or what is known of it, -> what to call it, for all leaves of the hosts."""
        labels: dict[str, str] = {}
        answered = {uid[:8]: uid for uid in reports if uid not in names}
        for host, report in reports.items():
            for start in report.leaves:
                uid = answered.get(start.hex(), start.hex())
                labels.setdefault(uid, f"leaf {uid[:8]} of {names.get(host, host[:8])}")
        return labels
