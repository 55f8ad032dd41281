"""What answers at a member's address may be anybody: it is believed nothing, and led nowhere by."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web

from meshcache.agent.mesh import peers
from meshcache.agent.mesh.peers import PeerClient
from meshcache.agent.trust.auth import Keys
from meshcache.block import FileVersion
from meshcache.errors import PeerError, PeerFailed, PeerUnreachable
from meshcache.wanted import Wanted
from tests.support.scripted import Asked, server_saying
from tests.support.wait import eventually


@dataclass
class Peer:
    address: str
    name: str = "peer"
    store_id: str = "store"


@pytest.fixture
async def client() -> AsyncIterator[PeerClient]:
    made = PeerClient(Keys(bytes(range(32))))
    yield made
    await made.close()


class Stranger:
    """A web server without the mesh key."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path == "/leads-away":
            raise web.HTTPTemporaryRedirect("/elsewhere")
        response = web.StreamResponse(status=500 if request.path == "/endless-error" else 200)
        await response.prepare(request)
        with_no_end = bytes(1 << 20)
        while request.path.startswith("/endless"):
            await response.write(with_no_end)
        return response


@asynccontextmanager
async def serving(stranger: Stranger) -> AsyncIterator[Peer]:
    app = web.Application()
    app.router.add_get("/{path:.*}", stranger.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield Peer(f"{host}:{port}")
    finally:
        await runner.cleanup()


async def test_a_stranger_leads_an_agent_nowhere(client: PeerClient) -> None:
    stranger = Stranger()
    async with serving(stranger) as peer:
        with pytest.raises(PeerFailed):
            await client.get(peer, "/leads-away")
    assert stranger.asked == ["/leads-away"]


@pytest.mark.parametrize("path", ["/endless", "/endless-error"])
async def test_an_answer_without_an_end_is_given_up(
    client: PeerClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "MAX_ANSWER", 4 << 20)
    async with serving(Stranger()) as peer:
        with pytest.raises(PeerFailed, match="longer than"):
            await client.get(peer, path)


@pytest.mark.parametrize("address", ["", ":", "host:port", "[::1:7440", "no host:1"])
async def test_a_member_whose_address_is_none_costs_its_askers_nothing_but_itself(
    client: PeerClient, address: str
) -> None:
    with pytest.raises(PeerError):
        await client.get(Peer(address), "/v1/status")


async def test_a_block_from_a_stranger_is_not_even_received(client: PeerClient) -> None:
    file = FileVersion("http://h", "/k", '"t"', 1000)
    into = bytearray(1000)
    async with serving(Stranger()) as peer:
        with pytest.raises(PeerFailed, match="no proof"):
            await client.fetch(
                peer, Wanted("d", file.block(1 << 20, 0)), memoryview(into), only_if_held=False
            )
    assert not any(into)


async def test_who_is_not_there_any_more_is_not_waited_for(client: PeerClient) -> None:
    async def never(asked: Asked) -> None:
        pass

    async with server_saying(never) as server:
        peer = Peer(server.site.address)
        async with asyncio.TaskGroup() as group:

            async def ask() -> None:
                with pytest.raises(PeerUnreachable):
                    await client.get(peer, "/v1/status")

            group.create_task(ask())
            await eventually(lambda: server.asked)
            client.keep_only({"another"})
