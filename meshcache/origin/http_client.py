"""Asking a web server: redirects followed, our errors."""

import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

from yarl import URL

from meshcache.errors import InvalidInput, OriginFailed, OriginUnreachable
from meshcache.http import BadAnswer, Body, Client, First, Head, Site, TooLong
from meshcache.origin.attempts import CONNECT, STALL, Transient, in_attempts
from meshcache.origin.causes import cause_of
from meshcache.units import KIB

T = TypeVar("T")

CONNECTIONS = 32
"""To one origin from one node."""

REDIRECTS = 10
_REDIRECT = (301, 302, 303, 307, 308)
_NEEDLESS = 16 * KIB
"""Bytes of an error's or redirect's body that are read to keep its connection."""

HEADERS = {"Accept-Encoding": "identity", "User-Agent": "meshcache"}
"""Of each request. Not signed: proxies may change them."""

Take = Callable[[Head, URL], Body]
"""Looks at an answer and where it came from, and says where its body goes; raises what is wrong."""


def dropped(head: Head, url: URL) -> Body:
    """A `Take` for answers of which only the head counts."""
    return First(_NEEDLESS)


class HttpClient:
    """Connections to a web server and to where it redirects."""

    def __init__(self, where: str) -> None:
        """`where` names the origin in messages."""
        self._where = where
        self._client = Client(connect=CONNECT, connections=2 * CONNECTIONS)

    async def ask(
        self, method: str, url: URL, headers: dict[str, str] | None = None, take: Take = dropped
    ) -> Head:
        """Send a request, follow redirects; gives the last answer's head when its body is taken.

        Raises:
            OriginError, Transient or TimeoutError: for `attempts`.
        """
        try:
            for _ in range(REDIRECTS + 1):
                head = await self._ask(method, url, HEADERS | (headers or {}), take)
                if not _leads_on(head):
                    return head
                url = url.join(URL(head.get("location"))).with_fragment(None)
        except ssl.SSLError as error:
            raise OriginUnreachable(f"{self._where}: {cause_of(error)}") from error
        except TimeoutError:
            raise
        except OSError as error:
            raise Transient(OriginUnreachable(f"{self._where}: {cause_of(error)}")) from error
        except TooLong as error:
            raise OriginFailed(f"{self._where}: {error}") from error
        except BadAnswer as error:
            raise Transient(OriginFailed(f"{self._where}: {error}")) from error
        except (InvalidInput, ValueError) as error:  # of the server's Location, or of a proxy
            said = error if isinstance(error, InvalidInput) else "it redirects to what is no URL"
            raise OriginFailed(f"{self._where}: {said}") from error
        raise OriginFailed(f"{self._where}: the server redirects without end")

    async def _ask(self, method: str, url: URL, headers: dict[str, str], take: Take) -> Head:
        def body_of(head: Head) -> Body:
            if _leads_on(head):
                return dropped(head, url)
            # Not asked for, and its ranges are of other bytes.
            if head.get("content-encoding").lower() not in ("", "identity"):
                raise OriginFailed(f"{self._where}: the server sends it encoded as it likes")
            return take(head, url)

        return await self._client.ask(
            Site.of(url), method, url.raw_path_qs, headers, body_of, silence=STALL
        )

    async def attempts(self, work: Callable[[], Awaitable[T]]) -> T:
        """`work`, which uses `ask`, tried again while what goes wrong may pass.

        Raises:
            OriginError: it went wrong for good.
        """
        return await in_attempts(work, where=self._where)

    async def close(self) -> None:
        """End all connections. Idempotent."""
        await self._client.close()


def _leads_on(head: Head) -> bool:
    return head.status in _REDIRECT and bool(head.get("location"))
