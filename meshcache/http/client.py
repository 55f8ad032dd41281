"""The client: kept connections to many sites, and a second try where a kept one was stale."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping

from meshcache.http.answer import Answer, BodyOf
from meshcache.http.connection import Connection
from meshcache.http.dial import Dialler
from meshcache.http.errors import BrokenOff
from meshcache.http.head import Head, encode_request
from meshcache.http.site import Proxy, Site, proxy_of

_REPEATABLE = ("GET", "HEAD")


class Client:
    """Connections to any number of sites. Belongs to one event loop."""

    def __init__(
        self,
        *,
        connect: float,
        connections: int,
        proxies: bool = True,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """Nothing is connected before the first request.

        Args:
            connect: seconds that making a connection may take.
            connections: to each site at a time; further requests wait for one to be free.
            proxies: whether the environment's proxies are used.
            tls: makes the context for https; by default the system's certificates are trusted.
        """
        self._connect = connect
        self._connections = connections
        self._proxies = proxies
        self._dialler = Dialler(tls)
        self._pools: dict[Site, _Pool] = {}

    async def ask(
        self,
        site: Site,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body_of: BodyOf,
        *,
        silence: float,
    ) -> Head:
        """Send a request without a body; when this returns, the answer's body is where `body_of`
        said.

        A kept connection may have been closed by the server a moment ago: a GET or HEAD that meets
        one, and of whose answer nothing came, is sent again over another.

        Args:
            target: the path with its query, quoted.
            silence: seconds without a byte after which it is given up.

        Raises:
            OSError: no connection, or `BrokenOff`; ssl.SSLError if TLS failed.
            TimeoutError: no connection or no byte in time.
            BadAnswer: what came is no HTTP.
            InvalidInput: the request cannot be sent; or the environment's proxy is none.
            Exception: what `body_of` or the body raised.
        """
        pool = self._pools.get(site) or self._new_pool(site)
        request = pool.request(method, target, headers)
        with pool:
            while True:
                answer = Answer(method, body_of)
                connection, kept = await pool.take()
                try:
                    return await connection.ask(request, answer, silence)
                except BrokenOff:
                    if not kept or answer.begun or method not in _REPEATABLE:
                        raise
                finally:
                    pool.give_back(connection)

    def _new_pool(self, site: Site) -> "_Pool":
        proxy = proxy_of(site) if self._proxies else None
        pool = _Pool(
            *(site, proxy, self._dialler, self._connect, self._connections),
            emptied=lambda: self._pools.pop(site, None),
        )
        self._pools[site] = pool
        return pool

    async def close(self) -> None:
        """End all connections; what is under way fails. Idempotent."""
        for pool in list(self._pools.values()):
            pool.close()
        await asyncio.sleep(0)  # the loop closes the sockets


class _Pool:
    """The connections to one site."""

    def __init__(
        self,
        site: Site,
        proxy: Proxy | None,
        dialler: Dialler,
        connect: float,
        limit: int,
        *,
        emptied: Callable[[], object],
    ) -> None:
        """`emptied` is called when there is neither a connection nor somebody who wants one."""
        self._site = site
        self._proxy = proxy
        self._dialler = dialler
        self._connect = connect
        self._free = limit
        """How many more may be made."""
        self._emptied = emptied
        self._users = 0
        self._all: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        # A proxy of http is told the whole URL; one of https passes bytes on.
        through = proxy if site.scheme == "http" else None
        self._prefix = f"http://{site.authority}" if through else ""
        self._extra = through.headers if through else {}

    def request(self, method: str, target: str, headers: Mapping[str, str]) -> bytes:
        """The request as it goes over the wire."""
        if method == "POST":
            headers = {**headers, "Content-Length": "0"}
        if self._extra:
            headers = {**headers, **self._extra}
        return encode_request(method, self._prefix + target, self._site.authority, headers)

    def __enter__(self) -> None:
        self._users += 1

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        self._settle()

    def _settle(self) -> None:
        if not self._users and not self._all:
            self._emptied()

    async def take(self) -> tuple[Connection, bool]:
        """A connection, to be given back; and whether it was used before."""
        while self._idle or not self._free:
            if self._idle:
                connection = self._idle.pop()
                if connection.usable:
                    return connection, True
                continue
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()  # its turn is the next one's
                raise
        self._free -= 1
        try:
            async with asyncio.timeout(self._connect):
                connection = await self._dialler.dial(self._site, self._proxy, self._drop)
        except BaseException:
            self._free += 1
            self._wake()
            raise
        self._all.add(connection)
        return connection, False

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next, unless it is over."""
        if connection.usable:
            self._idle.append(connection)
            self._wake()

    def _drop(self, connection: Connection) -> None:
        if connection in self._all:
            self._all.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._free += 1
            self._wake()
            self._settle()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def close(self) -> None:
        """End all connections. Idempotent."""
        for connection in list(self._all):
            connection.close()
