"""Making connections: names, addresses of both kinds, proxies, TLS."""

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable
from typing import Any

import aiohappyeyeballs

from meshcache.http.connection import Connection
from meshcache.http.errors import BadAnswer, BrokenOff
from meshcache.http.head import END, MAX_HEAD, encode_request, parse_head
from meshcache.http.site import Proxy, Site
from meshcache.singleflight import SingleFlight

_SECOND_ADDRESS = 0.25
"""Seconds after which the next address of a name is tried beside the first (RFC 8305)."""

Addresses = list[tuple[Any, ...]]


class Dialler:
    """Makes connections; a name that many want at once is looked up once."""

    def __init__(self, tls: Callable[[], ssl.SSLContext] | None = None) -> None:
        """`tls` makes the context for https; by default the system's certificates are trusted."""
        self._lookups: SingleFlight[tuple[str, int], Addresses] = SingleFlight()
        self._tls = tls or _tls

    async def dial(
        self, site: Site, proxy: Proxy | None, lost: Callable[[Connection], None]
    ) -> Connection:
        """A connection to the site, or to its proxy if the site is asked through that.

        Raises:
            OSError: it could not be made; ssl.SSLError among them, and socket.gaierror.
            BadAnswer: the proxy does not let it through.
        """
        loop = asyncio.get_running_loop()
        sock = await self._socket(*((proxy.host, proxy.port) if proxy else (site.host, site.port)))
        try:
            if site.scheme == "https":
                if proxy is not None:
                    await _tunnel(sock, site, proxy)
                tls = await asyncio.to_thread(self._tls)
                _, connection = await loop.create_connection(
                    lambda: Connection(lost), sock=sock, ssl=tls, server_hostname=site.host
                )
            else:
                _, connection = await loop.create_connection(lambda: Connection(lost), sock=sock)
        except BaseException:
            sock.close()
            raise
        return connection

    async def _socket(self, host: str, port: int) -> socket.socket:
        addresses = await self._addresses(host, port)
        return await aiohappyeyeballs.start_connection(
            addresses,
            happy_eyeballs_delay=_SECOND_ADDRESS,
            interleave=1,
        )

    async def _addresses(self, host: str, port: int) -> Addresses:
        try:  # of an address this asks nobody
            return [*socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, _NUMBERS_ALONE)]
        except socket.gaierror:
            return await self._lookups.run((host, port), lambda: _look_up(host, port))


_NUMBERS_ALONE = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


async def _look_up(host: str, port: int) -> Addresses:
    loop = asyncio.get_running_loop()
    try:
        return [*await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except UnicodeError as error:  # of a label with too many characters, or none
        raise socket.gaierror(socket.EAI_NONAME, "no name of a host") from error


@functools.cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _tunnel(sock: socket.socket, site: Site, proxy: Proxy) -> None:
    """Have the proxy pass bytes on from here (RFC 9110, section 9.3.6)."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(
        sock, encode_request("CONNECT", site.address, site.address, proxy.headers)
    )
    data = bytearray()
    while not data.endswith(END):  # what comes behind is for TLS, which the client begins
        part = await loop.sock_recv(sock, MAX_HEAD)
        if not part:
            raise BrokenOff("the proxy hung up")
        data += part
        if len(data) > MAX_HEAD:
            raise BadAnswer("the proxy's answer is too long")
    status = parse_head(data).status
    if status != 200:
        raise BadAnswer(f"the proxy does not let it through (HTTP {status})")
