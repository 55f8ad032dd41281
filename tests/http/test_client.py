"""The client beside servers of all manners: kept connections, silence, proxies, TLS, addresses."""

import asyncio
import gc
import socket
import ssl
from functools import partial
from typing import Any

import pytest
import trustme

from meshcache.errors import InvalidInput
from meshcache.http import BadAnswer, Body, BrokenOff, Buffers, Head, Site
from tests.support.scripted import Asked, a_client, get, server_saying
from tests.support.seaweed import free_ports
from tests.support.wait import eventually


async def echo(asked: Asked) -> None:
    asked.answer(asked.line.encode())


# --- connections ----------------------------------------------------------------------------------


async def test_one_connection_serves_one_request_after_the_other() -> None:
    async with server_saying(echo) as server, a_client() as client:
        for number in range(5):
            assert (
                await get(client, server.site, f"/{number}") == f"GET /{number} HTTP/1.1".encode()
            )
        assert server.connections == 1


async def test_no_more_connections_are_made_than_allowed_and_all_are_served() -> None:
    most = under_way = 0

    async def slowly(asked: Asked) -> None:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        await echo(asked)

    async with server_saying(slowly) as server, a_client(connections=3) as client:
        said = await asyncio.gather(*(get(client, server.site, f"/{n}") for n in range(20)))
        assert said == [f"GET /{n} HTTP/1.1".encode() for n in range(20)]
        assert 0 < most <= server.connections <= 3


async def test_who_is_cancelled_while_waiting_leaves_his_turn_to_the_next() -> None:
    go = asyncio.Event()

    async def held(asked: Asked) -> None:
        await go.wait()
        await echo(asked)

    async with server_saying(held) as server, a_client(connections=1) as client:
        async with asyncio.TaskGroup() as group:
            first, second, third = (
                group.create_task(get(client, server.site, f"/{n}")) for n in range(3)
            )
            await eventually(lambda: server.asked)
            second.cancel()
            go.set()
        assert (await first, await third) == (b"GET /0 HTTP/1.1", b"GET /2 HTTP/1.1")
        assert second.cancelled()


async def test_a_cancelled_request_costs_its_connection_and_no_other() -> None:
    async def never(asked: Asked) -> None:
        if asked.line.startswith("GET /never"):
            asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal")
        else:
            await echo(asked)

    async with server_saying(never) as server, a_client() as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await get(client, server.site, "/never")
        assert await get(client, server.site, "/next") == b"GET /next HTTP/1.1"
        assert server.connections == 2
        await eventually(lambda: server.open == 1)


async def test_a_stale_connection_is_replaced_and_the_request_sent_again() -> None:
    async def once_each(asked: Asked) -> None:
        if len([one for one in server.asked if one.connection == asked.connection]) == 1:
            await echo(asked)
        else:
            asked.hang_up()

    async with server_saying(once_each) as server, a_client() as client:
        assert await get(client, server.site, "/1") == b"GET /1 HTTP/1.1"
        assert await get(client, server.site, "/2") == b"GET /2 HTTP/1.1"
        assert server.connections == 2
        with pytest.raises(BrokenOff):  # twice may be once too often
            await get(client, server.site, "/3", method="POST")


async def test_a_server_that_hangs_up_on_a_new_connection_is_not_asked_again() -> None:
    async def hang_up(asked: Asked) -> None:
        asked.hang_up()

    async with server_saying(hang_up) as server, a_client() as client:
        with pytest.raises(BrokenOff):
            await get(client, server.site)
        assert server.connections == 1


async def test_half_an_answer_on_a_kept_connection_is_an_error() -> None:
    async def half(asked: Asked) -> None:
        if len(server.asked) == 1:
            await echo(asked)
        else:
            asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal")
            asked.hang_up()

    async with server_saying(half) as server, a_client() as client:
        await get(client, server.site)
        with pytest.raises(BrokenOff):
            await get(client, server.site)
        assert len(server.asked) == 2


async def test_a_connection_that_speaks_unasked_or_is_not_to_be_kept_is_not_used_again() -> None:
    for more in (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b""):

        async def say(asked: Asked, more: bytes = more) -> None:
            asked.answer(b"ok", *([] if more else ["Connection: close"]))
            await asked.writer.drain()
            asked.send(more)

        async with server_saying(say) as server, a_client() as client:
            assert await get(client, server.site) == b"ok"
            await eventually(lambda: server.open == 0)
            assert await get(client, server.site) == b"ok"
            assert server.connections == 2


async def test_an_idle_connection_is_closed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshcache.http.connection.IDLE", 0.05)
    async with server_saying(echo) as server, a_client() as client:
        await get(client, server.site)
        await eventually(lambda: server.open == 0)
        assert await get(client, server.site, "/2") == b"GET /2 HTTP/1.1"


async def test_closing_ends_what_is_under_way() -> None:
    async def never(asked: Asked) -> None:
        pass

    async with (
        server_saying(never) as server,
        a_client() as client,
        asyncio.TaskGroup() as group,
    ):

        async def ask() -> None:
            with pytest.raises(BrokenOff):
                await get(client, server.site)

        group.create_task(ask())
        await eventually(lambda: server.asked)
        await client.close()


# --- bodies ---------------------------------------------------------------------------------------


def _give(body: Body, head: Head) -> Body:
    return body


async def test_a_body_lies_where_it_was_wanted_and_is_referred_to_by_nobody() -> None:
    data = bytes(range(256)) * 4096

    async def big(asked: Asked) -> None:
        asked.answer(data)

    async with server_saying(big) as server, a_client() as client:
        into = bytearray(len(data))
        for _ in range(2):
            buffers = Buffers([memoryview(into)])
            await client.ask(server.site, "GET", "/", {}, partial(_give, buffers), silence=10)
            assert buffers.full
            assert into == data
        del buffers
        gc.collect()
        into += b"x"  # that would raise while a view of it is left


async def test_what_a_body_raises_ends_the_request_and_its_connection() -> None:
    def refuse(head: Head) -> Body:
        raise ValueError("not this one")

    async with server_saying(echo) as server, a_client() as client:
        with pytest.raises(ValueError, match="not this one"):
            await client.ask(server.site, "GET", "/", {}, refuse, silence=10)
        await eventually(lambda: server.open == 0)


async def test_a_head_has_no_body_and_a_post_says_that_it_has_none() -> None:
    async def say(asked: Asked) -> None:
        asked.answer(b"" if asked.line.startswith("HEAD") else asked.head, "X: y")

    async with server_saying(say) as server, a_client() as client:
        assert await get(client, server.site, method="HEAD") == b""
        assert b"\r\nContent-Length: 0\r\n" in await get(client, server.site, method="POST")


# --- time -----------------------------------------------------------------------------------------


async def test_a_silent_server_is_given_up_and_a_slow_one_is_not() -> None:
    async def slowly(asked: Asked) -> None:
        asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            await asyncio.sleep(0.05)
            asked.send(b"x")
        if asked.line.startswith("GET /then"):
            await asked.reader.readuntil(b"\r\n\r\n")

    async with server_saying(slowly) as server, a_client() as client:
        assert await get(client, server.site, silence=0.25) == b"xxxxxx"
        assert await get(client, server.site, "/then", silence=0.25) == b"xxxxxx"
        with pytest.raises(TimeoutError):
            await get(client, server.site, silence=0.25)


async def test_a_connection_that_cannot_be_made_in_time_is_given_up() -> None:
    async def never(asked: Asked) -> None:
        pass

    ports = free_ports(1)
    async with a_client(connect=0.2) as client:
        with pytest.raises(ConnectionRefusedError):
            await get(client, Site("http", "127.0.0.1", ports[0]))
    # TLS is part of making it.
    async with server_saying(never) as server, a_client(connect=0.2) as client:
        with pytest.raises(TimeoutError):
            await get(client, server.site._replace(scheme="https"))


# --- names, proxies, TLS --------------------------------------------------------------------------


async def test_addresses_of_both_kinds_are_asked() -> None:
    for host in ("::1", "127.0.0.1"):
        async with server_saying(echo, host=host) as server, a_client() as client:
            site = server.site._replace(host=host)
            assert await get(client, site) == b"GET / HTTP/1.1"
            assert f"\r\nHost: {site.address}\r\n".encode() in server.asked[0].head
    assert site.address == f"127.0.0.1:{server.port}"


async def test_of_a_names_addresses_one_that_answers_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookups = 0
    known = socket.getaddrinfo

    def look_up(host: str, port: int, *rest: Any, **options: Any) -> Any:
        nonlocal lookups
        if host == "nowhere.invalid" or (rest and rest[-1] & socket.AI_NUMERICHOST):
            return known(host, port, *rest, **options)
        lookups += 1
        return [*known("::1", port, *rest, **options), *known("127.0.0.1", port, *rest, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with server_saying(echo) as server, a_client() as client:
        site = server.site._replace(host="two.invalid")
        said = await asyncio.gather(*(get(client, site) for _ in range(4)))
        assert said == [b"GET / HTTP/1.1"] * 4
        assert lookups == 1
        with pytest.raises(socket.gaierror):
            await get(client, Site("http", "nowhere.invalid", 80))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_https_is_spoken_with_servers_that_are_trusted(authority: trustme.CA) -> None:
    data = bytes(range(256)) * 4096

    async def big(asked: Asked) -> None:
        asked.answer(data)

    tls = server_context(authority, "localhost")
    async with server_saying(big, tls=tls) as server:
        site = Site("https", "localhost", server.port)
        async with a_client(tls=lambda: client_context(authority)) as client:
            assert await get(client, site) == data
            assert await get(client, site) == data
            assert server.connections == 1
            with pytest.raises(ssl.SSLCertVerificationError):
                await get(client, site._replace(host="127.0.0.1"))
        async with a_client() as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                await get(client, site)
    async with server_saying(echo) as server, a_client() as client:
        with pytest.raises(OSError):
            await get(client, server.site._replace(scheme="https"))


async def test_a_proxy_is_told_the_whole_url_and_its_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with server_saying(echo) as proxy, a_client(proxies=True) as client:
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "direct.invalid")
        said = await get(client, Site("http", "files.invalid", 80), "/a?b")
        assert said == b"GET http://files.invalid/a?b HTTP/1.1"
        assert b"\r\nHost: files.invalid\r\n" in proxy.asked[0].head
        assert b"\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n" in proxy.asked[0].head
        with pytest.raises(OSError, match=r"not known|resolution"):
            await get(client, Site("http", "direct.invalid", 80))
        monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
        with pytest.raises(InvalidInput, match="http_proxy"):
            await get(client, Site("http", "others.invalid", 80))


async def test_https_goes_through_a_proxy_that_only_passes_it_on(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    async def secret(asked: Asked) -> None:
        asked.answer(b"secret")

    tls = server_context(authority, "files.invalid")
    async with server_saying(secret, tls=tls) as server:

        async def tunnel(asked: Asked) -> None:
            if b"Proxy-Authorization: Basic bWU6eA==" not in asked.head:
                asked.answer(b"", status="407 Proxy Authentication Required")
                return
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            asked.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

            async def pass_on(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
                while data := await source.read(65536):
                    to.write(data)
                to.close()

            async with asyncio.TaskGroup() as group:
                group.create_task(pass_on(reader, asked.writer))
                group.create_task(pass_on(asked.reader, writer))

        context = client_context(authority)
        async with server_saying(tunnel) as proxy:
            monkeypatch.setenv("https_proxy", f"http://me:x@127.0.0.1:{proxy.port}")
            async with a_client(proxies=True, tls=lambda: context) as client:
                assert await get(client, Site("https", "files.invalid", 443)) == b"secret"
                assert proxy.asked[0].line == "CONNECT files.invalid:443 HTTP/1.1"
            monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy.port}")
            async with a_client(proxies=True, tls=lambda: context) as client:
                with pytest.raises(BadAnswer, match="407"):
                    await get(client, Site("https", "files.invalid", 443))
