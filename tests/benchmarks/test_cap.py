"""The proxy that plays remote storage passes everything on, at its rate, and counts it right."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from benchmarks.counts import object_key
from meshcache.units import KIB, MIB
from tests.support.capped import Cap, KeyCount
from tests.support.wait import eventually
from tests.support.webserver import WebServer, web_server


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with web_server() as server:
        server.put("bucket/f", bytes(MIB))
        yield server


@pytest.fixture
async def cap(server: WebServer) -> AsyncIterator[Cap]:
    async with Cap(server.url) as cap:
        yield cap


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def size_of(http: aiohttp.ClientSession, url: str, wanted: str = "") -> int:
    async with http.get(url, headers={"Range": wanted} if wanted else {}) as answer:
        return len(await answer.read())


async def test_body_bytes_of_objects_are_counted_by_key(
    cap: Cap, http: aiohttp.ClientSession
) -> None:
    await size_of(http, cap.url + "/bucket/f")
    await size_of(http, cap.url + "/bucket/f", "bytes=0-9")
    await size_of(http, cap.url + "/bucket/missing")
    async with http.head(cap.url + "/bucket/f"):
        pass
    await size_of(http, cap.url + "/bucket/?list-type=2&prefix=f")
    assert cap.counts.object_requests == 3
    assert cap.counts.object_bytes == MIB + 10
    assert cap.counts.other_requests == 2
    assert cap.counts.keys == {
        "bucket/f": KeyCount(requests=2, bytes=MIB + 10),
        "bucket/missing": KeyCount(requests=1, bytes=0),
    }
    assert cap.reset().object_requests == 3
    assert cap.counts.object_requests == 0


async def test_all_connections_share_one_rate(cap: Cap, http: aiohttp.ClientSession) -> None:
    cap.bandwidth.rate = 8 * MIB
    start = time.monotonic()
    await asyncio.gather(*(size_of(http, cap.url + "/bucket/f") for _ in range(8)))
    # 1 s, less what it lets pass at the start; a busy machine may take longer.
    assert 0.85 < time.monotonic() - start < 2
    assert cap.counts.most_in_flight == 8


async def test_the_mean_rate_is_right(cap: Cap) -> None:
    start = time.monotonic()
    cap.bandwidth.rate = 20 * MIB
    for _ in range(200):
        await cap.bandwidth.take(128 * KIB)
    assert 25 / 20 - 0.1 < time.monotonic() - start < 25 / 20 + 0.3


async def test_held_requests_wait_for_the_event(cap: Cap, http: aiohttp.ClientSession) -> None:
    gate = cap.hold()
    async with asyncio.TaskGroup() as group:
        reads = [group.create_task(size_of(http, cap.url + "/bucket/f")) for _ in range(3)]
        await eventually(lambda: cap.held == 3)
        assert not any(read.done() for read in reads)
        assert cap.counts.object_bytes == 0
        gate.set()
    assert cap.counts.object_bytes == 3 * MIB
    assert cap.held == cap.in_flight == 0


async def test_it_fails_and_cuts_as_told_and_then_no_more(
    cap: Cap, http: aiohttp.ClientSession
) -> None:
    cap.fail_next(2, status=503)
    cap.cut_next(after=1000)
    for _ in range(2):
        async with http.get(cap.url + "/bucket/f") as answer:
            assert answer.status == 503
    with pytest.raises(aiohttp.ClientPayloadError):
        await size_of(http, cap.url + "/bucket/f")
    assert cap.counts.object_bytes == 1000
    assert await size_of(http, cap.url + "/bucket/f") == MIB


async def test_it_stops_while_requests_are_held_and_starts_on_the_same_port(
    cap: Cap, http: aiohttp.ClientSession
) -> None:
    url = cap.url + "/bucket/f"
    cap.hold()
    async with asyncio.TaskGroup() as group:
        read = group.create_task(asyncio.wait([group.create_task(_ended(http, url))], timeout=10))
        await eventually(lambda: cap.held == 1)
        await cap.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await size_of(http, url)
        done, _ = await read
        assert done
    await cap.start()
    assert await size_of(http, url) == MIB


@pytest.mark.parametrize("turns", range(6))
async def test_who_connects_while_it_stops_is_hung_up_on(server: WebServer, turns: int) -> None:
    """Whatever turn of the loop a connection that the kernel has taken comes in."""
    cap = Cap(server.url)
    await cap.start()
    host, port = cap.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as late:
        late.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        await cap.stop()
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(late, 1), 5) == b""


async def _ended(http: aiohttp.ClientSession, url: str) -> None:
    with contextlib.suppress(aiohttp.ClientError):
        await size_of(http, url)


async def test_without_an_upstream_it_says_so(http: aiohttp.ClientSession) -> None:
    async with Cap("http://127.0.0.1:1") as cap, http.get(cap.url + "/bucket/f") as answer:
        assert answer.status == 502


async def test_counters_can_be_asked_for_and_cleared(cap: Cap, http: aiohttp.ClientSession) -> None:
    await size_of(http, cap.url + "/bucket/f", "bytes=0-9")
    async with http.post(cap.url + "/-/cap") as answer:
        assert (await answer.json())["keys"] == {"bucket/f": {"requests": 1, "bytes": 10}}
    async with http.get(cap.url + "/-/cap") as answer:
        assert (await answer.json())["object_requests"] == 0


@pytest.mark.parametrize(
    ("method", "target", "key"),
    [
        ("GET", "/bucket/a%20b?x-id=GetObject", "bucket/a b"),
        ("GET", "/bucket?list-type=2&prefix=", None),
        ("GET", "/bucket/", None),
        ("GET", "/bucket/key?uploadId=1", None),
        ("HEAD", "/bucket/key", None),
        ("PUT", "/bucket/key", None),
    ],
)
def test_only_gets_of_objects_count_as_such(method: str, target: str, key: str | None) -> None:
    assert object_key(method, target) == key
