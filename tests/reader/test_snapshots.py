"""Snapshots come from whoever holds them: nobody waits in a circle, and no wrong one stays."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshcache.agent.snapshots import SnapshotOrigin, Snapshots, snapshot_block
from meshcache.block import Block
from meshcache.budget import Budget
from meshcache.errors import ChecksumMismatch, OriginUnreachable
from meshcache.reader import Reader
from meshcache.snapshot import Builder, snapshot_id
from meshcache.units import MIB
from meshcache.wanted import Wanted
from tests.reader.nodes import CountingOrigin, Nodes

DATA = Builder([("/", "test:")]).build()
ID = snapshot_id(DATA)


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    made = Nodes(tmp_path, CountingOrigin(b""), "ab")
    for name, other in ("ab", "ba"):
        made.views[name].order = [name, other]
        origin = SnapshotOrigin("data", made.views[name], lambda other=other: [other])  # type: ignore[misc]
        made.wires.readers[name] = Reader(
            made.stores[name],
            made.views[name],
            lambda wanted, origin=origin: origin,  # type: ignore[misc]
            Budget(32 * MIB),
            deadline=5.0,
        )
    yield made
    made.close()


def block() -> Block:
    return snapshot_block(ID, len(DATA))


async def put(nodes: Nodes, name: str, data: bytes) -> None:
    draft = nodes.stores[name].reserve(block().id, len(data))
    draft.view[:] = data
    (await draft.commit()).release()


async def test_two_members_that_both_look_for_a_lost_snapshot_do_not_wait_for_each_other(
    nodes: Nodes,
) -> None:
    both = await asyncio.gather(
        *(nodes[name].read(Wanted("data", block())) for name in "ab"), return_exceptions=True
    )
    assert [type(error) for error in both] == [OriginUnreachable] * 2


async def test_many_who_open_a_snapshot_that_cannot_be_had_wait_as_long_as_one(
    nodes: Nodes,
) -> None:
    snapshots = Snapshots(nodes.stores["a"], nodes["a"])
    await asyncio.gather(
        *(snapshots.open("data", ID, len(DATA)) for _ in range(8)), return_exceptions=True
    )
    assert nodes.wires.fetches.count(("a", "b")) == 1


async def test_a_snapshot_with_wrong_bytes_is_thrown_away_and_had_from_who_has_the_right_ones(
    nodes: Nodes,
) -> None:
    snapshots = Snapshots(nodes.stores["a"], nodes["a"])
    await put(nodes, "a", bytes(len(DATA)))
    await put(nodes, "b", DATA)
    with pytest.raises(ChecksumMismatch):
        await snapshots.open("data", ID, len(DATA))
    assert (await snapshots.open("data", ID, len(DATA))).snapshot.id == ID
    snapshots.close()


async def test_a_member_with_wrong_bytes_is_passed_over(nodes: Nodes) -> None:
    await put(nodes, "b", bytes(len(DATA)))
    with pytest.raises(OriginUnreachable):
        await nodes["a"].read(Wanted("data", block()))
    assert block().id not in nodes.stores["a"]


async def test_a_snapshot_kept_twice_at_the_same_time_is_open_once(nodes: Nodes) -> None:
    snapshots = Snapshots(nodes.stores["a"], nodes["a"])
    first, second = await asyncio.gather(snapshots.keep(DATA), snapshots.keep(DATA))
    assert first is second
    snapshots.close()
