"""A server that says what a test wants: it reads requests and lets a function answer each."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from meshcache.http import Body, Client, Head, Site, Whole
from tests.support.wait import eventually

Say = Callable[["Asked"], Awaitable[None]]


class Asked:
    """One request, and the connection to answer it on."""

    def __init__(
        self,
        connection: int,
        head: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.connection = connection
        """Counted from 0."""
        self.line = head.split(b"\r\n")[0].decode()
        self.head = head
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def answer(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def hang_up(self) -> None:
        self.writer.close()


class Server:
    """What it was asked."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.asked: list[Asked] = []
        self.connections = 0
        self.open = 0
        self.port = 0

    @property
    def site(self) -> Site:
        return Site("http", "127.0.0.1", self.port)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        self.open += 1
        try:
            while not writer.is_closing():
                asked = Asked(number, await reader.readuntil(b"\r\n\r\n"), reader, writer)
                self.asked.append(asked)
                await self.say(asked)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def server_saying(
    say: Say, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """A listening server; when the block ends all its connections have ended."""
    server = Server(say)
    listening = await asyncio.start_server(server.serve, host, 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for asked in server.asked:
            asked.writer.close()
        await eventually(lambda: server.open == 0)


@asynccontextmanager
async def a_client(
    *,
    connections: int = 4,
    connect: float = 5.0,
    proxies: bool = False,
    tls: Callable[[], ssl.SSLContext] | None = None,
) -> AsyncIterator[Client]:
    """A client, closed at the end."""
    client = Client(connect=connect, connections=connections, proxies=proxies, tls=tls)
    try:
        yield client
    finally:
        await client.close()


async def get(
    client: Client, site: Site, target: str = "/", *, method: str = "GET", silence: float = 10.0
) -> bytes:
    """The body of an answer."""
    body = Whole(1 << 20)

    def into(head: Head) -> Body:
        return body

    await client.ask(site, method, target, {}, into, silence=silence)
    return bytes(body.data)
