"""The mesh as the reader sees it: who owns a block, and how to have it from them.

Rebuilt when the members change, so that asking costs one vectorised ranking and nothing else.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import msgspec
from blake3 import blake3

from meshcache.agent.mesh.peers import PeerClient
from meshcache.block import BlockId
from meshcache.dataset import Head
from meshcache.errors import BlockElsewhere, OriginError, PeerError, PeerFailed, PeerUnreachable
from meshcache.fanout import SENT_ON_FROM
from meshcache.gossip import Gossip, Member
from meshcache.placement import Candidate, Placement
from meshcache.traffic import Purpose
from meshcache.wanted import Wanted

LISTING_WITHIN = 3600.0
"""Seconds in which a member that was asked to list must answer; if it dies, that is noticed."""

SETTLED_AFTER = 600.0
"""Seconds after which a store counts as filled by its share of reads. Younger ones are left out
of the *previous* owners, who are asked before the origin."""


class Peer(msgspec.Struct, frozen=True):
    """A member as other members' agents need it: what its tags say, read once."""

    uid: str
    name: str
    state: str
    role: str
    zone: str
    store_id: str
    address: str
    """host:port of its HTTP server."""
    gossip: str
    """host:port of its gossip."""
    capacity: int
    """Bytes of its store's quota."""
    store_created: float
    """Seconds since 1970."""
    version: str
    incarnation: int
    since: float
    """When this member learned of the state, seconds since 1970."""
    leaf: bool
    """Whether it is a leaf of gossip: a guest that two members serve."""


def tags_of(
    *,
    store_id: str,
    address: str,
    role: str,
    zone: str,
    capacity: int,
    created: float,
    version: str,
) -> dict[str, str]:
    """What an agent says of itself by gossip."""
    return {
        "store": store_id,
        "http": address,
        "role": role,
        "zone": zone,
        "capacity": str(capacity),
        "created": str(int(created)),
        "version": version,
    }


def peer_of(member: Member) -> Peer:
    """Read a member's tags; what a newer or broken agent left out reads as nothing."""
    tags = member.tags
    return Peer(
        uid=member.uid,
        name=member.name,
        state=str(member.state),
        role=tags.get("role", ""),
        zone=tags.get("zone", ""),
        store_id=tags.get("store", ""),
        address=tags.get("http", ""),
        gossip=member.address,
        capacity=_number(tags.get("capacity")),
        store_created=_number(tags.get("created")),
        version=tags.get("version", ""),
        incarnation=member.incarnation,
        since=member.since,
        leaf=member.role == "leaf",
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0


class MeshView:
    """Implements `meshcache.fetcher.Mesh` over gossip's members and HTTP."""

    def __init__(
        self,
        gossip: Gossip,
        me: str,
        client: PeerClient,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`me` is this node's store id."""
        self._gossip = gossip
        self._client = client
        self._me = me
        self._now = now
        self._rebuild_at = 0.0
        self._by_store: dict[str, Peer] = {}
        self._placement = Placement([])
        self._settled = Placement([])
        self.rebuild()

    @property
    def me(self) -> str:
        return self._me

    def peers(self) -> list[Peer]:
        """All members that gossip knows, this one among them, sorted by name."""
        peers = [peer_of(member) for member in self._gossip.members()]
        return sorted(peers, key=lambda peer: (peer.name, peer.uid))

    @property
    def by_store(self) -> Mapping[str, Peer]:
        """The members that are alive or suspect, this one among them, by store id."""
        return self._by_store

    def can_give(self, store_id: str) -> bool:
        """Whether others can ask that member for a block."""
        peer = self._by_store.get(store_id)
        return peer is not None and peer.state == "alive" and store_id != self._me

    def living(self) -> list[Peer]:
        """The other members that can be asked now."""
        return [
            peer
            for store_id, peer in self._by_store.items()
            if store_id != self._me and peer.state == "alive"
        ]

    @property
    def placement(self) -> Placement:
        """Where blocks are placed now, suspects counted as there."""
        return self._placement

    @property
    def view(self) -> str:
        """A name for the placement: 16 hex digits, the same on members that place alike."""
        return self._view

    @property
    def capacity(self) -> int:
        """Bytes that the members which keep blocks for the mesh may keep together."""
        return sum(peer.capacity for peer in self._owning())

    def rebuild(self) -> None:
        """Take the members as gossip has them now. Called at each change of membership."""
        there = [peer for peer in self.peers() if peer.state in ("alive", "suspect")]
        # An agent that was restarted is here twice for a moment, with one store: the living and
        # newer one counts.
        there.sort(key=lambda peer: (peer.state == "alive", peer.since))
        self._by_store = {peer.store_id: peer for peer in there if peer.store_id}
        self._suspects = sum(peer.state != "alive" for peer in self._by_store.values())
        owning = self._owning()
        candidates = sorted(_candidate(peer) for peer in owning)
        self._placement = Placement(candidates)
        self._view = blake3(msgspec.msgpack.encode(candidates)).hexdigest(8)
        now = self._now()
        young = [p for p in owning if now - p.store_created < SETTLED_AFTER]
        self._settled = Placement([_candidate(p) for p in owning if p not in young])
        self._rebuild_at = min(
            (peer.store_created + SETTLED_AFTER for peer in young), default=float("inf")
        )
        self._client.keep_only({p.store_id for p in there if p.state == "alive"})

    def _owning(self) -> list[Peer]:
        """The members that blocks are placed on: without a `cache` member, the guests."""
        there = list(self._by_store.values())
        return [peer for peer in there if peer.role == "cache"] or there

    def owners(self, id: BlockId, count: int) -> Sequence[str]:
        return self._living(self._placement.rank(id, count + self._suspects), count)

    def first(self, name: str) -> bool:
        """Whether this member is the first living one by rank for a thing of that name: the one
        of all that does what needs to be done once. Two may be, while their views differ."""
        return self.ranked(name.encode(), 1) == [self._me]

    def previous_owners(self, id: BlockId, count: int) -> Sequence[str]:
        if self._now() >= self._rebuild_at:
            self.rebuild()
        return self._living(self._settled.rank(id, count + self._suspects), count)

    def ranked(self, name: bytes, count: int) -> list[str]:
        """The first `count` living members by rank for a thing of that name."""
        return self._living(self._placement.rank_name(name, count + self._suspects), count)

    def rank(self, name: bytes, count: int) -> int | None:
        """This member's rank for a thing of that name, from 0; None if it is not of the first
        `count`."""
        ranked = self.ranked(name, count)
        return ranked.index(self._me) if self._me in ranked else None

    def _living(self, ranked: list[str], count: int) -> list[str]:
        return [store for store in ranked if self._by_store[store].state == "alive"][:count]

    async def fetch(
        self,
        member: str,
        wanted: Wanted,
        into: memoryview,
        *,
        only_if_held: bool,
        purpose: Purpose = "read",
    ) -> bytes:
        fetch = partial(self._client.fetch, wanted=wanted, into=into, purpose=purpose)
        owner = self._peer(member)
        if only_if_held or wanted.block.length < SENT_ON_FROM:
            return await fetch(owner, only_if_held=only_if_held)
        try:
            return await fetch(owner, only_if_held=False, by=self._me)
        except BlockElsewhere as elsewhere:
            giver = str(elsewhere)
        with suppress(PeerError, OriginError):
            return await fetch(self._peer(giver), only_if_held=False, sent_on=True)
        return await fetch(owner, only_if_held=False)  # it has to give it to who does not say who

    async def fill(self, member: str, wanted: Wanted) -> None:
        """Have a member fill its own store with a block.

        Raises:
            PeerError: the member could not be reached, or failed.
            OriginError: what the origin said to it.
        """
        await self._client.fill(self._peer(member), wanted)

    async def refresh(self, member: str, dataset: str) -> Head:
        """Have a member list a dataset's origins and show what is there.

        Raises:
            PeerError: the member could not be reached, or failed.
            OriginError: what an origin said to it.
        """
        target = f"/v1/datasets/{dataset}/refresh?here=1"
        body = await self._client.post(self._peer(member), target, silence=LISTING_WITHIN)
        try:
            return msgspec.json.decode(body, type=Head)
        except msgspec.MsgspecError as error:
            raise PeerFailed("a member's answer to a refresh cannot be read") from error

    def _peer(self, member: str) -> Peer:
        peer = self._by_store.get(member)
        if peer is None:
            raise PeerUnreachable(f"member with store {member[:8]} is gone")
        return peer


def _candidate(peer: Peer) -> Candidate:
    return Candidate(store_id=peer.store_id, weight=float(max(peer.capacity, 1)), zone=peer.zone)
