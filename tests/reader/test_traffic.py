"""Bytes are counted once, where they were found: at the reader's node, a peer's, or the origin."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshcache.traffic import Traffic
from meshcache.units import MIB
from meshcache.wanted import Wanted
from tests.reader.nodes import BLOCK_SIZE, CountingOrigin, Nodes
from tests.support.wait import eventually


@pytest.fixture
async def origin() -> CountingOrigin:
    return CountingOrigin(random.Random(7).randbytes(MIB))


@pytest.fixture
async def nodes(tmp_path: Path, origin: CountingOrigin) -> AsyncIterator[Nodes]:
    made = Nodes(tmp_path, origin)
    yield made
    made.close()


@pytest.fixture
def wanted(origin: CountingOrigin) -> Wanted:
    return Wanted("data", origin.file.block(BLOCK_SIZE, 0))


async def test_a_cold_read_by_way_of_the_owner_is_missed_there_and_a_warm_one_given(
    nodes: Nodes, wanted: Wanted
) -> None:
    await nodes.bytes_of("b", wanted.block)
    assert nodes["b"].accounts.traffic["data"] == Traffic(peer=MIB)
    assert nodes["a"].accounts.traffic["data"] == Traffic(missed=MIB, fetched=MIB)
    await nodes.bytes_of("c", wanted.block)
    await nodes.bytes_of("c", wanted.block)
    assert nodes["c"].accounts.traffic["data"] == Traffic(peer=MIB, store=MIB)
    assert nodes["a"].accounts.traffic["data"] == Traffic(missed=MIB, given=MIB, fetched=MIB)


async def test_what_was_fetched_ahead_counts_as_found_where_that_found_it_and_only_once(
    nodes: Nodes, wanted: Wanted
) -> None:
    await nodes["a"].read_ahead(wanted)
    assert nodes["a"].accounts.traffic["data"] == Traffic(fetched=MIB)
    await nodes.bytes_of("a", wanted.block)
    assert nodes["a"].accounts.traffic["data"] == Traffic(origin=MIB, fetched=MIB)
    await nodes["a"].read_ahead(wanted)
    await nodes.bytes_of("a", wanted.block)
    assert nodes["a"].accounts.traffic["data"] == Traffic(origin=MIB, store=MIB, fetched=MIB)


async def test_a_fill_is_asked_of_the_origin_and_read_by_nobody(
    nodes: Nodes, wanted: Wanted
) -> None:
    (await nodes["a"].fill(wanted)).release()
    assert nodes["a"].accounts.traffic["data"] == Traffic(fetched=MIB)
    assert nodes["a"].accounts.bytes_from.total() == 0


async def test_what_a_load_has_of_the_owner_is_loaded_and_nobodys_read(
    nodes: Nodes, wanted: Wanted
) -> None:
    await nodes["b"].load(wanted)
    assert nodes["b"].accounts.traffic["data"] == Traffic()
    assert nodes["a"].accounts.traffic["data"] == Traffic(fetched=MIB, loaded=MIB)
    await nodes["c"].load(wanted)
    assert nodes["a"].accounts.traffic["data"] == Traffic(fetched=MIB, loaded=MIB)
    assert (nodes["b"].accounts.loaded_from, nodes["c"].accounts.loaded_from) == (
        {"peer": MIB},
        {"peer": MIB},
    )
    await nodes.bytes_of("b", wanted.block)
    assert nodes["b"].accounts.traffic["data"] == Traffic(store=MIB)


async def test_what_the_owner_loads_of_the_origin_is_loaded_and_nobodys_read(
    nodes: Nodes, wanted: Wanted
) -> None:
    await nodes["a"].load(wanted)
    await nodes["a"].load(wanted)
    assert nodes["a"].accounts.traffic["data"] == Traffic(fetched=MIB, loaded=MIB)
    await nodes.bytes_of("b", wanted.block)
    assert nodes["a"].accounts.traffic["data"] == Traffic(given=MIB, fetched=MIB, loaded=MIB)


async def test_owners_that_load_at_once_ask_the_origin_and_count_that_once(
    nodes: Nodes, wanted: Wanted
) -> None:
    await asyncio.gather(*(nodes[name].load(wanted) for name in "abc"))
    total = Traffic()
    for name in "abc":
        total.add(nodes[name].accounts.traffic["data"])
    assert total == Traffic(fetched=MIB, loaded=MIB)


async def test_a_reader_that_waits_for_what_a_load_fetches_counts_once(
    nodes: Nodes, wanted: Wanted, origin: CountingOrigin
) -> None:
    origin.open.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(nodes["b"].load(wanted))
        await eventually(lambda: origin.reads == 1)
        tasks.create_task(nodes.bytes_of("b", wanted.block))
        await asyncio.sleep(0)  # it joins the load's flight
        origin.open.set()
    assert nodes["a"].accounts.traffic["data"] == Traffic(fetched=MIB, loaded=MIB)
    assert nodes["b"].accounts.traffic["data"] == Traffic(peer=MIB, given=MIB)


@pytest.mark.parametrize("ahead", [False, True])
async def test_what_an_owner_reads_of_the_one_before_it_counts_as_given(
    ahead: bool, nodes: Nodes, wanted: Wanted
) -> None:
    await nodes["b"].load(wanted)
    nodes.stores["a"].discard(wanted.block.id)
    nodes.views["a"].previous = ["b"]
    if ahead:
        await nodes["a"].read_ahead(wanted)
    await nodes.bytes_of("a", wanted.block)
    assert nodes["a"].accounts.traffic["data"] == Traffic(
        peer=MIB, given=MIB, fetched=MIB, loaded=MIB
    )
    assert nodes["b"].accounts.traffic["data"] == Traffic()
