"""Asking a web server: one connection pool, our errors, a deadline for silence."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp
from yarl import URL

from meshcache.errors import OriginFailed, OriginUnreachable
from meshcache.origin.attempts import CONNECT, STALL, Transient, in_attempts
from meshcache.origin.causes import cause_of
from meshcache.units import KIB

T = TypeVar("T")

CONNECTIONS = 32
"""To one origin from one node."""


class Answer:
    """An answer whose body is under way."""

    def __init__(self, response: aiohttp.ClientResponse, patience: asyncio.Timeout) -> None:
        self._response = response
        self._patience = patience
        self.url = response.url
        """Where it came from, after redirects."""
        self.status = response.status
        self.headers = response.headers

    async def chunk(self) -> bytes:
        """The next part of the body; empty at its end."""
        data = await self._response.content.readany()
        self._patience.reschedule(asyncio.get_running_loop().time() + STALL)
        return data


class HttpClient:
    """A connection pool, made when first used."""

    def __init__(self, where: str) -> None:
        """`where` names the origin in messages."""
        self._where = where
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def ask(
        self, method: str, url: URL, headers: dict[str, str] | None = None
    ) -> AsyncIterator[Answer]:
        """Send a request; the body can be read within the block. What is left of it is dropped.

        Raises:
            OriginError, Transient or TimeoutError: for `attempts`.
        """
        try:
            async with (
                asyncio.timeout(STALL) as patience,
                self._pool().request(
                    method, url, headers=headers, allow_redirects=True, proxy=proxy_of(url)
                ) as response,
            ):
                encoding = response.headers.get("Content-Encoding", "identity")
                if encoding != "identity":  # not asked for, and its ranges are of other bytes
                    raise OriginFailed(f"{self._where}: the server sends it encoded as it likes")
                yield Answer(response, patience)
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError) as error:
            raise OriginUnreachable(f"{self._where}: {cause_of(error)}") from error
        except (aiohttp.TooManyRedirects, aiohttp.InvalidURL) as error:
            raise OriginFailed(f"{self._where}: the server redirects without end") from error
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(OriginUnreachable(f"{self._where}: {cause_of(error)}")) from error

    async def attempts(self, work: Callable[[], Awaitable[T]]) -> T:
        """`work`, which uses `ask`, tried again while what goes wrong may pass.

        Raises:
            OriginError: it went wrong for good.
        """
        return await in_attempts(work, where=self._where)

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                connector=aiohttp.TCPConnector(limit=2 * CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity", "User-Agent": "meshcache"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
                read_bufsize=256 * KIB,
            )
        return self._session

    async def close(self) -> None:
        """Close the pool. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def proxy_of(url: URL) -> str | None:
    """The environment's proxy for a URL. (aiohttp's own trust_env would send ~/.netrc along.)"""
    if url.host is None or urllib.request.proxy_bypass(url.host):
        return None
    return urllib.request.getproxies().get(url.scheme)
