import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from meshcache.agent.client import AgentClient
from meshcache.errors import (
    AgentUnreachable,
    DatasetNotFound,
    DeadlineExceeded,
    OriginDenied,
    PeerFailed,
    ProofInvalid,
)
from tests.support.fake_agent import FakeAgent

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with FakeAgent(socket=tmp_path / "agent.sock") as fake:
        yield fake


@pytest.fixture
def proven() -> Iterator[FakeAgent]:
    with FakeAgent(mesh_key=KEY) as fake:
        yield fake


@asynccontextmanager
async def answering(what: bytes) -> AsyncIterator[str]:
    """A server that says `what` to everyone and hangs up; nothing at all hangs on."""

    ended: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(end := asyncio.Event())
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(what)
            if not what:
                await reader.read()
            writer.close()
            await writer.wait_closed()
        finally:
            end.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(5):
            for end in ended:
                await end.wait()


async def test_an_answer_comes_back_as_data(agent: FakeAgent) -> None:
    agent.on("GET", "/v1/members", [{"name": "a"}])
    async with AgentClient(socket=agent.socket) as client:
        assert await client.members() == [{"name": "a"}]


async def test_an_error_comes_back_as_the_agent_named_it(agent: FakeAgent) -> None:
    agent.on("GET", "/v1/datasets/x", DatasetNotFound("no dataset 'x'"))
    agent.on("POST", "/v1/datasets", OriginDenied("s3://b: wrong key"))
    async with AgentClient(socket=agent.socket) as client:
        with pytest.raises(DatasetNotFound, match="no dataset 'x'"):
            await client.dataset("x")
        with pytest.raises(OriginDenied, match="wrong key"):
            await client.create_dataset({"name": "x"})


async def test_a_file_streams(agent: FakeAgent) -> None:
    data = bytes(range(256)) * 20_000
    agent.on("GET", "/v1/datasets/x/files/a/b", data)
    async with AgentClient(socket=agent.socket) as client:
        assert b"".join([chunk async for chunk in client.read("x", "/a/b")]) == data


@pytest.mark.parametrize("path", ["a b", "a?b#c", "ü/%41", "a&b=c", "a+b", "x/../y", "a\udcffb"])
async def test_any_name_arrives_as_it_is(path: str, proven: FakeAgent) -> None:
    async with AgentClient(address=proven.address, mesh_key=KEY) as client:
        with pytest.raises(Exception, match="no route"):
            await client.entries("x", path)
    from os import fsencode
    from urllib.parse import unquote_to_bytes

    prefix = "/v1/datasets/x/entries/"
    assert proven.asked[0].target.startswith(prefix)
    assert unquote_to_bytes(proven.asked[0].target[len(prefix) :]) == fsencode(path)


async def test_over_tcp_requests_and_answers_are_proven(proven: FakeAgent) -> None:
    proven.on("GET", "/v1/members", [])
    proven.on("POST", "/v1/tokens", {"token": "t", "expires": 1})
    proven.on("DELETE", "/v1/datasets/x", None)
    proven.on("GET", "/v1/datasets/x/files/f", b"data")
    async with AgentClient(address=proven.address, mesh_key=KEY) as client:
        assert await client.members() == []
        assert (await client.mint_token("x", 60))["token"] == "t"
        await client.delete_dataset("x")
        chunks = [chunk async for chunk in client.read("x", "f", "bytes=0-3")]
        assert b"".join(chunks) == b"data"
    assert all("Authorization" in asked.headers for asked in proven.asked)


async def test_without_the_key_the_agent_refuses_and_says_what_it_takes(proven: FakeAgent) -> None:
    async with AgentClient(address=proven.address) as client:
        with pytest.raises(ProofInvalid, match="give --mesh-key-file"):
            await client.members()


async def test_with_another_key_the_agent_refuses(proven: FakeAgent) -> None:
    async with AgentClient(address=proven.address, mesh_key=OTHER) as client:
        with pytest.raises(ProofInvalid, match="not proven with this mesh's key"):
            await client.members()


async def test_a_clock_that_is_off_is_told(proven: FakeAgent) -> None:
    late = AgentClient(address=proven.address, mesh_key=KEY, now=lambda: time.time() - 600)
    async with late as client:
        with pytest.raises(ProofInvalid, match=r"clock is .* s behind"):
            await client.members()


async def test_a_stranger_at_the_address_is_not_believed(tmp_path: Path) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    async with (
        answering(said) as address,
        AgentClient(address=address, mesh_key=KEY) as client,
    ):
        with pytest.raises(ProofInvalid, match="no proof of the mesh key"):
            await client.members()
        with pytest.raises(ProofInvalid, match="no proof of the mesh key"):
            async for _ in client.read("x", "f"):
                pass


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_another_program_at_the_address_is_told_from_an_agent(said: bytes) -> None:
    async with answering(said) as address, AgentClient(address=address) as client:
        with pytest.raises(AgentUnreachable, match="does not answer like an agent"):
            await client.members()


async def test_an_error_that_is_not_an_agents_is_told_by_its_status() -> None:
    said = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops"
    async with answering(said) as address, AgentClient(address=address) as client:
        with pytest.raises(PeerFailed, match="answers 502 Bad Gateway"):
            await client.members()


async def test_an_answer_that_breaks_off_is_no_answer() -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[1, 2"
    async with answering(said) as address, AgentClient(address=address) as client:
        with pytest.raises(AgentUnreachable, match="broke off"):
            await client.members()
        with pytest.raises(AgentUnreachable, match="broke off"):
            async for _ in client.read("x", "f"):
                pass


async def test_an_agent_that_falls_silent_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("meshcache.agent.connection.SILENCE_TIMEOUT", 0.2)
    async with answering(b"") as address, AgentClient(address=address) as client:
        with pytest.raises(DeadlineExceeded, match="was silent for"):
            await client.members()


async def test_where_no_agent_is_the_line_says_how_to_start_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "agent.sock", tmp_path / "file"):
        async with AgentClient(socket=path) as client:
            with pytest.raises(
                AgentUnreachable, match=f"at {path}: start one by `meshcache agent`"
            ):
                await client.members()


async def test_where_nothing_listens_the_line_names_the_address() -> None:
    async with AgentClient(address="127.0.0.1:1") as client:
        with pytest.raises(AgentUnreachable, match=r"at http://127\.0\.0\.1:1: connection refused"):
            await client.members()


async def test_a_name_that_is_not_found_is_told() -> None:
    async with AgentClient(address="nowhere.invalid") as client:
        with pytest.raises(AgentUnreachable, match=r"no agent answers at http://nowhere\.invalid"):
            await client.members()


async def test_a_file_that_is_proven_whole_is_taken_too(proven: FakeAgent) -> None:
    proven.on("GET", "/v1/datasets/x/files/f", {"a": 1})
    async with AgentClient(address=proven.address, mesh_key=KEY) as client:
        assert [chunk async for chunk in client.read("x", "f")] == [b'{"a": 1}']
