"""What goes over the wire when an answer goes wrong, or is not taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientPayloadError, ClientSession, web
from aiohttp.test_utils import make_mocked_request

from meshcache.agent.api import answers, app
from meshcache.agent.api.ranges import byte_range
from meshcache.errors import EnvironmentUnfit
from tests.support.wait import eventually


@asynccontextmanager
async def serving(handler: app.Handler) -> AsyncIterator[tuple[str, int]]:
    """The application's way with errors, around one route."""
    made = web.Application(middlewares=[app._errors])
    made.on_response_prepare.append(app._note_begun)
    made.router.add_get("/", handler)
    runner = web.AppRunner(made, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield host, port
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("error", [EnvironmentUnfit("no memory"), RuntimeError("a mistake")])
async def test_an_error_in_the_middle_of_a_file_is_never_taken_for_its_bytes(
    error: Exception,
) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 150
        await response.prepare(request)
        await response.write(b"x" * 10)
        raise error

    async with serving(breaks) as (host, port), ClientSession() as session:
        got = b""
        async with asyncio.timeout(5), session.get(f"http://{host}:{port}/") as answer:
            with pytest.raises((ClientPayloadError, ConnectionError)):
                async for chunk in answer.content.iter_any():
                    got += chunk
    assert not got.strip(b"x")


async def test_a_client_that_takes_nothing_does_not_hold_its_block_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "TAKEN_WITHIN", 0.2)
    ended: list[BaseException] = []

    async def streams(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await answers.send(response, memoryview(bytes(answers.WRITE_SIZE)))
        except BaseException as error:
            ended.append(error)
            raise

    async with serving(streams) as (host, port):
        reader, writer = await asyncio.open_connection(host, port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await eventually(lambda: ended)
        assert isinstance(ended[0], ConnectionError)
        writer.close()
        del reader


@pytest.mark.parametrize("header", ["bytes=" + "9" * 5000 + "-", "bytes=-" + "9" * 5000])
async def test_a_range_of_thousands_of_digits_is_no_range(header: str) -> None:
    part = byte_range(make_mocked_request("GET", "/", {"Range": header}), 100)
    assert (part.start, part.stop, part.status) == (0, 100, 200)
