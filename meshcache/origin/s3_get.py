"""GETs of objects past botocore's layers, which take 0.6 ms of CPU for each: signed by botocore's
signer, sent by aiohttp. Small files are read at the speed of such requests.

Only where all that botocore would find out is known: an endpoint, how buckets are addressed there,
and keys that were given. What an answer means is decided where it always is (`s3_errors`).
"""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from meshcache.origin.attempts import CONNECT
from meshcache.origin.http_client import proxy_of
from meshcache.origin.s3_client import CONNECTIONS, Lease
from meshcache.origin.s3_place import Place
from meshcache.units import KIB

_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
_MAX_ERROR = 64 * KIB
_BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
"""Variables that tell botocore of certificates, and aiohttp nothing."""


class S3Gets:
    """A connection pool for one bucket."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._base = _base(place)
        self._session: aiohttp.ClientSession | None = None
        self._signers: dict[int, Any] = {}

    def serve(self, lease: Lease) -> bool:
        """Whether the requests of that client can go this way."""
        return self._base is not None and (bool(lease.secrets) or self._place.anonymous)

    @asynccontextmanager
    async def ask(
        self, lease: Lease, key: str, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer with the object, or a part of it; its body can be read within the block.

        Raises:
            botocore.exceptions.ClientError: as a client's method does.
            aiohttp.ClientError, OSError: the connection failed.
        """
        url = f"{self._base}/{quote(key.encode('utf-8', 'surrogateescape'), safe='/~')}"
        async with self._pool().get(
            URL(url, encoded=True),
            headers=self._signed(lease, url, headers),
            allow_redirects=False,  # a token would travel along
            proxy=proxy_of(URL(url, encoded=True)),
        ) as response:
            if response.status not in (200, 206):
                raise await _error(response)
            yield response

    def _signed(self, lease: Lease, url: str, headers: dict[str, str]) -> dict[str, str]:
        if not lease.secrets:
            return headers
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method="GET", url=url, headers=headers)
        self._signer(lease).add_auth(request)
        return dict(request.headers.items())

    def _signer(self, lease: Lease) -> Any:
        # Of the client's own secrets: there is one client at a time, now and then a new one.
        signer = self._signers.get(id(lease.secrets))
        if signer is None:
            from botocore.auth import S3SigV4Auth
            from botocore.credentials import Credentials

            secrets = lease.secrets
            credentials = Credentials(
                secrets["access_key"], secrets["secret_key"], secrets.get("session_token")
            )
            signer = S3SigV4Auth(credentials, "s3", self._place.region or "us-east-1")
            self._signers = {id(lease.secrets): signer}
        return signer

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
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


def _base(place: Place) -> str | None:
    """The URL of the bucket; None where botocore has to find it."""
    if place.endpoint is None or place.addressing == "auto":
        return None
    if place.endpoint.startswith("https:") and any(map(os.environ.get, _BUNDLES)):
        return None
    if place.addressing == "path":
        return f"{place.endpoint}/{place.bucket}"
    parts = urlsplit(place.endpoint)
    return f"{parts.scheme}://{place.bucket}.{parts.netloc}{parts.path}"


async def _error(response: aiohttp.ClientResponse) -> Any:
    from botocore.exceptions import ClientError

    body = await response.content.read(_MAX_ERROR)
    code = _CODE.search(body)
    said = {
        "Error": {"Code": code[1].decode() if code else str(response.status)},
        "ResponseMetadata": {"HTTPStatusCode": response.status},
    }
    return ClientError(said, "GetObject")
