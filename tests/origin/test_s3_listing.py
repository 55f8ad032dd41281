"""A listing by many requests is the listing by one, whatever the keys and the server's order."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.bucket import NAME, Bucket, Numbered
from meshcache.errors import OriginFailed
from meshcache.origin import Origin
from meshcache.origin.s3_listing import OrderUnusable, Query, Walk, between
from meshcache.origin.s3_pages import Page
from tests.support.origins import keys_of, listing, origin_at
from tests.support.seaweed import Seaweed

PER_PAGE = 3


class Server:
    """Walks its keys in the order it was given, a few to a page."""

    def __init__(self, keys: list[str], *, per_page: int = PER_PAGE) -> None:
        self.keys = keys
        self.per_page = per_page
        self.under_way = self.most_under_way = 0

    async def fetch(self, query: Query) -> Page:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        start = 0
        if query.token is not None:
            start = int(query.token)
        elif query.after:
            # Behind the last key that is not greater: for sorted keys what S3 does.
            start = max((n + 1 for n, key in enumerate(self.keys) if key <= query.after), default=0)
        shown: dict[str, bool] = {}
        end = len(self.keys)
        for number in range(start, len(self.keys)):
            key = self.keys[number]
            if not key.startswith(query.prefix):
                continue
            slash = key.find("/", len(query.prefix)) if query.top_level else -1
            name = key[: slash + 1] if slash >= 0 else key
            if name not in shown and len(shown) == min(self.per_page, query.most):
                end = number
                break
            shown[name] = slash >= 0
        keys = [name for name, is_prefix in shown.items() if not is_prefix]
        return Page(
            keys,
            [0] * len(keys),
            [0] * len(keys),
            ["t"] * len(keys),
            [name for name, is_prefix in shown.items() if is_prefix],
            str(end),
            end < len(self.keys) and any(k.startswith(query.prefix) for k in self.keys[end:]),
        )


async def walked(server: Server, *, ordered: bool = True, prefix: str = "") -> list[str]:
    walk = Walk(server.fetch, prefix, ordered=ordered, requests=4)
    return [key async for page in walk.pages() for key in page.keys]


keys = st.lists(st.text("ab/c-é", min_size=1, max_size=5), unique=True, max_size=60)


@settings(deadline=None)
@given(keys)
async def test_every_key_is_listed_once(some: list[str]) -> None:
    server = Server(sorted(some))
    assert sorted(await walked(server)) == sorted(some)
    assert sorted(await walked(server, ordered=False)) == sorted(some)


@settings(deadline=None)
@given(keys, st.randoms())
async def test_a_server_with_an_order_of_its_own_costs_no_key(
    some: list[str], chance: random.Random
) -> None:
    chance.shuffle(some)
    server = Server(some)
    assert sorted(await walked(server, ordered=False)) == sorted(some)
    try:
        found = await walked(server)
    except OrderUnusable:
        return
    assert sorted(found) == sorted(some)


async def test_one_flat_folder_is_listed_by_as_many_requests_as_may_be() -> None:
    server = Server([f"{number:05}" for number in range(2000)], per_page=10)
    assert len(await walked(server)) == 2000
    assert server.most_under_way == 4


@given(st.text(max_size=6), st.text(max_size=6))
def test_a_place_between_two_keys_is_between_them(one: str, two: str) -> None:
    low, high = sorted((one, two))
    place = between(low, high)
    assert place is None or low < place < high
    if place is not None:
        place.encode()


@pytest.fixture
async def made_up() -> AsyncIterator[Bucket]:
    async with Bucket(Numbered(25_000, per_folder=700)) as bucket:
        yield bucket


def opened(bucket: Bucket) -> AbstractAsyncContextManager[Origin]:
    return origin_at(f"s3://{NAME}", {"endpoint": bucket.url, "anonymous": "true"})


async def test_a_large_bucket_is_listed_whole_in_about_as_many_pages_as_it_has(
    made_up: Bucket,
) -> None:
    async with opened(made_up) as origin:
        found = await listing(origin)
    assert found.keys() == set(made_up.keys)
    one = found["000003/000005.bin"]
    assert (one.size, one.tag) == (made_up.size, made_up.tag(one.key))
    assert one.mtime_ns == 1_767_323_045_678_000_000
    assert made_up.counts["page"] <= 2 * 25 + 16


@pytest.mark.parametrize("page", [1, 12])
@pytest.mark.parametrize("late", [False, True])
async def test_a_listing_that_fails_at_some_page_is_an_error_and_no_shorter_listing(
    made_up: Bucket, page: int, late: bool
) -> None:
    made_up.fail_from, made_up.fails_late = page, late
    async with opened(made_up) as origin:
        with pytest.raises(OriginFailed, match="InternalError"):
            await listing(origin)


@pytest.mark.parametrize("begins", ["ignored", "refused"])
@pytest.mark.parametrize("per_folder", [700, 25_000])
async def test_a_server_that_cannot_begin_behind_a_key_is_listed_whole_by_plain_pages(
    begins: Literal["ignored", "refused"], per_folder: int
) -> None:
    async with Bucket(Numbered(25_000, per_folder=per_folder)) as made_up:
        made_up.begins_behind = begins
        async with opened(made_up) as origin:
            assert (await listing(origin)).keys() == set(made_up.keys)
            made_up.counts.clear()
            # That is remembered.
            assert (await listing(origin)).keys() == set(made_up.keys)
            folders = len(made_up.keys) // per_folder
            assert made_up.counts["page"] <= 25 + folders + 1
            assert not made_up.counts["one"]


async def test_keys_are_spelled_as_botocore_reads_them(made_up: Bucket) -> None:
    made_up.keys = sorted(["a b", "a+b", "ä%20", 'q"&<>', "x/y"])
    async with opened(made_up) as origin:
        assert sorted(found.key for found in (await listing(origin)).values()) == made_up.keys


async def test_a_directory_beside_a_longer_name_costs_no_key_on_a_server_that_walks_directories(
    seaweed: Seaweed, bucket: str
) -> None:
    """SeaweedFS lists ``a/1`` before ``a-b/1``: not in the order of keys."""
    names = {f"{folder}/{number:03}" for folder in ("a", "a-b", "a.c") for number in range(400)}
    await asyncio.to_thread(lambda: [seaweed.put(bucket, name, b"") for name in names])
    async with origin_at(
        f"s3://{bucket}", {"endpoint": seaweed.endpoint}, keys_of(seaweed)
    ) as origin:
        for _ in range(2):
            assert (await listing(origin)).keys() == names
