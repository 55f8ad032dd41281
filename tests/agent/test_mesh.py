"""The mesh as the reader sees it."""

from collections.abc import Collection
from typing import Any

import pytest

from meshcache.agent.mesh import MeshView, tags_of
from meshcache.agent.mesh.peers import Address, PeerClient
from meshcache.agent.trust.auth import Keys
from meshcache.block import BlockId, FileVersion
from meshcache.errors import BlockElsewhere, BlockNotHeld, OriginFailed, PeerUnreachable
from meshcache.gossip import Member, State
from meshcache.wanted import Wanted

NOW = 1_800_000_000.0
BLOCK = BlockId(bytes(32), 4 << 20, 0)


class FakeGossip:
    """What the view asks of gossip: the members."""

    def __init__(self, *members: Member) -> None:
        self.all = list(members)

    def members(self) -> list[Member]:
        return self.all


class FakeClient(PeerClient):
    """Remembers whom it was told to keep."""

    kept: Collection[str] = ()

    def keep_only(self, living: Collection[str]) -> None:
        self.kept = set(living)


def member(
    uid: str, store: str, state: State = State.ALIVE, *, role: str = "cache", age: float = 7200.0
) -> Member:
    tags = tags_of(
        store_id=store,
        address=f"{uid}:7440",
        role=role,
        zone="",
        capacity=1 << 30,
        created=NOW - age,
        version="0",
    )
    return Member(uid, store, f"{uid}:7441", state, 0, "full", tags, NOW - age, int(NOW * 1000))


def view(*members: Member, me: str = "a" * 32) -> tuple[MeshView, FakeClient]:
    client = FakeClient(Keys(bytes(32)))
    return MeshView(FakeGossip(*members), me, client, now=lambda: NOW), client  # type: ignore[arg-type]


A, B, C = ("a" * 32, "b" * 32, "c" * 32)


def test_owners_are_the_living_members_and_a_suspect_is_routed_around() -> None:
    mesh, client = view(member("1", A), member("2", B, State.SUSPECT), member("3", C, State.FAILED))
    assert mesh.owners(BLOCK, 3) == [A]
    assert client.kept == {A}


@pytest.mark.parametrize("old", ["0", "9"])
def test_of_one_store_twice_the_living_agent_counts_whatever_its_uid(old: str) -> None:
    before = member(old, B, State.SUSPECT)
    mesh, _ = view(member("1", A), before, member("5", B, age=1.0))
    assert set(mesh.owners(BLOCK, 2)) == {A, B}
    assert [peer.uid for peer in mesh.living()] == ["5"]


def test_a_guest_owns_nothing_while_there_is_a_cache_member() -> None:
    mesh, _ = view(member("1", A, role="guest"), member("2", B))
    assert mesh.owners(BLOCK, 2) == [B]
    alone, _ = view(member("1", A, role="guest"), member("2", B, role="guest"))
    assert set(alone.owners(BLOCK, 2)) == {A, B}


def test_previous_owners_are_those_that_were_here_for_ten_minutes() -> None:
    mesh, _ = view(member("1", A, age=30.0), member("2", B, age=599.0), member("3", C, age=601.0))
    assert mesh.previous_owners(BLOCK, 3) == [C]


def test_a_member_whose_tags_make_no_sense_harms_nobody() -> None:
    broken = Member("2", "x", "h:1", State.ALIVE, 0, "full", {"capacity": "-1"}, NOW, 0)
    mesh, _ = view(member("1", A), broken)
    assert mesh.owners(BLOCK, 2) == [A]


# --- sent on -------------------------------------------------------------------------------------

FILE = FileVersion("test:", "object", "v1", 4 << 20)
WANTED = Wanted("data", FILE.block(4 << 20, 0))
Asked = tuple[str, dict[str, Any]]
OWNER: Asked = ("owner", {"by": A})
GIVER: Asked = ("giver", {"sent_on": True})
INSISTING: Asked = ("owner", {})


class ScriptedClient(FakeClient):
    """Answers each question with the next of these; `asked` has who was asked, and how."""

    def __init__(self, *answers: bytes | Exception) -> None:
        super().__init__(Keys(bytes(32)))
        self.answers = list(answers)
        self.asked: list[Asked] = []

    async def fetch(self, peer: Address, wanted: Wanted, into: memoryview, **how: Any) -> bytes:
        said = {name: value for name, value in how.items() if name in ("by", "sent_on")}
        self.asked.append(({B: "owner", C: "giver"}[peer.store_id], said))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def fetched(*answers: bytes | Exception, wanted: Wanted = WANTED) -> ScriptedClient:
    """What a member asks for a block of member B, which answers so; the last is what it gets."""
    client = ScriptedClient(*answers)
    gossip = FakeGossip(member("1", A), member("2", B), member("3", C))
    mesh = MeshView(gossip, A, client, now=lambda: NOW)  # type: ignore[arg-type]
    into = memoryview(bytearray(wanted.block.length))
    assert await mesh.fetch(B, wanted, into, only_if_held=False) == answers[-1]
    return client


async def test_who_is_sent_to_another_member_has_the_block_from_there() -> None:
    assert (await fetched(b"sums")).asked == [OWNER]
    assert (await fetched(BlockElsewhere(C), b"sums")).asked == [OWNER, GIVER]


@pytest.mark.parametrize("error", [PeerUnreachable("gone"), BlockNotHeld("no"), OriginFailed("5")])
async def test_when_that_one_fails_the_owner_has_to_give_it(error: Exception) -> None:
    asked = (await fetched(BlockElsewhere(C), error, b"sums")).asked
    assert asked == [OWNER, GIVER, INSISTING]


async def test_being_sent_to_a_member_that_is_not_known_costs_one_more_question() -> None:
    assert (await fetched(BlockElsewhere("d" * 32), b"sums")).asked == [OWNER, INSISTING]


async def test_of_a_short_block_nobody_says_who_asks() -> None:
    short = Wanted("data", FileVersion("test:", "small", "v1", 100_000).block(4 << 20, 0))
    assert (await fetched(b"sums", wanted=short)).asked == [INSISTING]
