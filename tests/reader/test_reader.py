"""A block is fetched once, from the best source there is, and never in a circle."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshcache.block import Block
from meshcache.errors import BlockNotHeld, ObjectChanged, OriginDenied
from meshcache.units import MIB
from meshcache.wanted import Wanted
from tests.reader.nodes import BLOCK_SIZE, CountingOrigin, Nodes
from tests.support.wait import eventually

DATA = random.Random(7).randbytes(3 * MIB + 12345)


@pytest.fixture
async def origin() -> CountingOrigin:
    return CountingOrigin(DATA)


@pytest.fixture
async def nodes(tmp_path: Path, origin: CountingOrigin) -> AsyncIterator[Nodes]:
    made = Nodes(tmp_path, origin)
    yield made
    made.close()


def block(origin: CountingOrigin, index: int = 0) -> Block:
    return origin.file.block(BLOCK_SIZE, index)


async def test_every_block_has_the_origins_bytes_the_short_last_one_too(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    parts = [await nodes.bytes_of("b", part) for part in origin.file.blocks(BLOCK_SIZE)]
    assert b"".join(parts) == DATA


async def test_many_readers_of_one_cold_block_on_all_nodes_cost_one_origin_read(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    origin.open.clear()
    reads = [
        asyncio.ensure_future(nodes.bytes_of(name, block(origin)))  # noqa: TID251
        for name in "abcabcabc"
    ]
    await eventually(lambda: origin.reads == 1)
    origin.open.set()
    assert set(await asyncio.gather(*reads)) == {DATA[:BLOCK_SIZE]}
    assert origin.reads == 1


async def test_a_block_that_was_read_is_read_again_without_asking_anybody(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    await nodes.bytes_of("b", block(origin))
    asked = len(nodes.wires.fetches)
    await nodes.bytes_of("b", block(origin))
    assert (len(nodes.wires.fetches), origin.reads) == (asked, 1)


async def test_with_the_owner_dead_all_readers_meet_at_the_next_in_rank(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    nodes.wires.dead.add("a")
    both = await asyncio.gather(*(nodes.bytes_of(name, block(origin)) for name in "bc"))
    assert both == [DATA[:BLOCK_SIZE]] * 2
    assert origin.reads == 1
    assert nodes["c"].steps["PeerUnreachable"] == 1


async def test_with_every_peer_dead_a_read_comes_from_the_origin(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    nodes.wires.dead |= {"a", "b"}
    assert await nodes.bytes_of("c", block(origin)) == DATA[:BLOCK_SIZE]
    assert nodes["c"].accounts.bytes_from["origin"] == BLOCK_SIZE


async def test_with_the_origin_dead_what_the_mesh_holds_is_still_read(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    await nodes.bytes_of("a", block(origin))
    origin.error = OriginDenied("no more")
    assert await nodes.bytes_of("c", block(origin)) == DATA[:BLOCK_SIZE]


async def test_a_reader_with_credentials_helps_itself_when_its_owner_has_none(
    tmp_path: Path, origin: CountingOrigin
) -> None:
    denied = CountingOrigin(DATA)
    denied.error = OriginDenied("the keys are wrong")
    nodes = Nodes(tmp_path / "denied", denied, "a")
    others = Nodes(tmp_path / "others", origin, "c")
    others.wires.readers["a"] = nodes["a"]
    others.views["c"].order = ["a", "c"]
    assert await others.bytes_of("c", block(origin)) == DATA[:BLOCK_SIZE]
    assert (denied.reads, origin.reads) == (1, 1)
    nodes.close()
    others.close()


async def test_two_members_that_each_take_the_other_for_the_owner_do_not_wait_in_a_circle(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    nodes.views["a"].order = ["b", "a"]
    nodes.views["b"].order = ["a", "b"]
    nodes.views["a"].previous = ["b"]
    nodes.views["b"].previous = ["a"]
    async with asyncio.timeout(10):
        both = await asyncio.gather(*(nodes.bytes_of(name, block(origin)) for name in "ab"))
    assert both == [DATA[:BLOCK_SIZE]] * 2


async def test_a_new_owner_asks_the_previous_one_before_the_origin(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    await nodes.bytes_of("a", block(origin))
    nodes.views["b"].order = ["b", "a"]
    nodes.views["b"].previous = ["a"]
    await nodes.bytes_of("b", block(origin))
    assert origin.reads == 1


async def test_a_previous_owner_that_holds_nothing_costs_no_origin_read_of_its_own(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    nodes.views["b"].order = ["b", "a"]
    nodes.views["b"].previous = ["a"]
    await nodes.bytes_of("b", block(origin))
    assert origin.reads == 1
    assert nodes["b"].steps["BlockNotHeld"] == 1
    with pytest.raises(BlockNotHeld):
        await nodes["a"].fill(Wanted("data", block(origin)), only_if_held=True)


async def test_a_replaced_object_is_an_error_and_writes_nothing(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    old = block(origin)
    origin.data = b"new" * MIB
    with pytest.raises(ObjectChanged):
        await nodes.bytes_of("b", old)
    assert all(store.blocks == 0 for store in nodes.stores.values())


async def test_a_full_store_turns_caching_off_not_reading(
    tmp_path: Path, origin: CountingOrigin
) -> None:
    nodes = Nodes(tmp_path, origin, "a", quota=BLOCK_SIZE + MIB // 2)
    with await nodes["a"].read(Wanted("data", block(origin, 0))) as first:
        second = await nodes.bytes_of("a", block(origin, 1))
        assert bytes(first.view) == DATA[:BLOCK_SIZE]
    assert second == DATA[BLOCK_SIZE : 2 * BLOCK_SIZE]
    assert nodes["a"].steps["StoreFull"] == 1
    assert nodes.stores["a"].used <= nodes.stores["a"].quota
    nodes.close()


async def test_a_reader_that_gives_up_does_not_take_the_block_from_the_others(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    origin.open.clear()
    first, second = (
        asyncio.ensure_future(nodes.bytes_of("a", block(origin)))  # noqa: TID251
        for _ in range(2)
    )
    await eventually(lambda: origin.reads == 1)
    first.cancel()
    origin.open.set()
    assert await second == DATA[:BLOCK_SIZE]
    assert first.cancelled()
    assert origin.reads == 1


async def test_no_loan_is_left_when_all_readers_are_gone(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    await asyncio.gather(
        *(nodes.bytes_of(name, block(origin, i)) for name in "abc" for i in (0, 1))
    )
    for store in nodes.stores.values():
        for id in list(store.ids()):
            store.discard(id)
        assert store.used == 0, "a block that is still lent counts as used"


async def test_a_part_is_there_before_the_block_is(nodes: Nodes, origin: CountingOrigin) -> None:
    wanted = Wanted("data", block(origin))
    reader = nodes["a"]
    origin.part = 300_000
    origin.open.clear()
    origin.next_part.clear()
    async with asyncio.TaskGroup() as group:
        early = [group.create_task(reader.part(wanted, 10, stop)) for stop in (300_000, 200)]
        late = group.create_task(reader.part(wanted, 0, 300_001))
        whole = group.create_task(reader.read(wanted))
        await eventually(lambda: origin.reads)
        assert not any(task.done() for task in early)
        origin.open.set()
        assert [await task for task in early] == [DATA[10:300_000], DATA[10:200]]
        assert await reader.part(wanted, 299_999, 300_000) == DATA[299_999:300_000]
        assert not late.done()
        assert not whole.done()
        origin.next_part.set()
        (await whole).release()
        assert await late == DATA[:300_001]


async def test_no_part_is_shown_of_a_block_that_comes_from_a_member(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    wanted = Wanted("data", block(origin))
    await nodes.bytes_of("a", block(origin))
    waiting = asyncio.ensure_future(nodes["b"].part(wanted, 0, 1))  # noqa: TID251
    await nodes.bytes_of("b", block(origin))
    assert origin.reads == 1
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not nodes["b"]._fetcher.arrivals._waiting


# --- given on ------------------------------------------------------------------------------------


async def test_what_this_node_is_getting_is_given_on_when_it_is_there(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    origin.open.clear()
    wanted = Wanted("data", block(origin))
    own = asyncio.ensure_future(nodes["b"].read(wanted))  # noqa: TID251
    await eventually(lambda: origin.reads == 1)
    given = asyncio.ensure_future(nodes["b"].give_on(wanted, "read"))  # noqa: TID251
    origin.open.set()
    with await own as first, await given as second:
        assert first.view == second.view == DATA[:BLOCK_SIZE]
    with await nodes["b"].give_on(wanted, "load") as later:
        assert later.view == DATA[:BLOCK_SIZE]
    assert origin.reads == 1
    assert nodes.wires.fetches == [("b", "a")], "nobody was asked for what was given on"
    assert nodes["b"].accounts.traffic["data"].given == BLOCK_SIZE, "of what a reader was given"


async def test_what_is_not_coming_is_not_given_on_and_nobody_is_asked(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    with pytest.raises(BlockNotHeld):
        await nodes["b"].give_on(Wanted("data", block(origin)), "read")
    assert (origin.reads, nodes.wires.fetches) == (0, [])


async def test_who_waits_for_what_is_given_on_hears_that_it_does_not_come(
    nodes: Nodes, origin: CountingOrigin
) -> None:
    origin.open.clear()
    origin.error = OriginDenied("wrong key")
    wanted = Wanted("data", block(origin))
    both = [
        asyncio.ensure_future(work)  # noqa: TID251
        for work in (nodes["a"].read(wanted), nodes["a"].give_on(wanted, "read"))
    ]
    await eventually(lambda: origin.reads == 1)
    origin.open.set()
    for each in both:
        with pytest.raises(OriginDenied):
            await each
