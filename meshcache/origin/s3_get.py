"""GETs of objects past botocore's layers, which take 0.6 ms of CPU for each: signed here, received
where the bytes belong. Small files are read at the speed of such requests.

Only where all that botocore would find out is known: an endpoint, how buckets are addressed there,
and keys that were given. What an answer means is decided where it always is (`s3_errors`).
"""

import os
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from yarl import URL

from meshcache.http import Body, Client, First, Head, Site
from meshcache.origin.attempts import CONNECT
from meshcache.origin.http_client import HEADERS
from meshcache.origin.s3_client import CONNECTIONS, Lease
from meshcache.origin.s3_place import Place
from meshcache.origin.s3_sign import Signer
from meshcache.units import KIB

_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
_MAX_ERROR = 64 * KIB
_BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
"""Variables that tell botocore of certificates, and our client nothing."""


class S3Gets:
    """Connections to one bucket."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._bucket = _bucket(place)
        self._client = Client(connect=CONNECT, connections=CONNECTIONS)
        self._signer: tuple[Lease, Signer] | None = None

    def serve(self, lease: Lease) -> bool:
        """Whether the requests of that client can go this way."""
        return self._bucket is not None and (bool(lease.secrets) or self._place.anonymous)

    async def ask(
        self,
        lease: Lease,
        key: str,
        headers: dict[str, str],
        take: Callable[[Head], Body],
        *,
        silence: float,
    ) -> None:
        """Get an object, or a part of it; `take` looks at the answer and says where it goes.

        Redirects are not followed: a token would travel along.

        Raises:
            botocore.exceptions.ClientError: as a client's method does.
            BadAnswer, OSError, TimeoutError: see `Client.ask`.
            Exception: what `take` raised.
        """
        assert self._bucket is not None
        site, prefix = self._bucket
        path = f"{prefix}/{quote(key.encode('utf-8', 'surrogateescape'), safe='/~')}"
        if lease.secrets:
            headers = self._signer_of(lease).headers(site.authority, path, headers, time.time())
        refused: First | None = None

        def body_of(head: Head) -> Body:
            nonlocal refused
            if head.status in (200, 206):
                return take(head)
            refused = First(_MAX_ERROR)
            return refused

        head = await self._client.ask(
            site, "GET", path, HEADERS | headers, body_of, silence=silence
        )
        if refused is not None:
            raise _error(head, bytes(refused.data))

    def _signer_of(self, lease: Lease) -> Signer:
        # There is one client at a time, now and then a new one.
        if self._signer is None or self._signer[0] is not lease:
            self._signer = lease, Signer(lease.secrets, self._place.region or "us-east-1")
        return self._signer[1]

    async def close(self) -> None:
        """End all connections. Idempotent."""
        await self._client.close()


def _bucket(place: Place) -> tuple[Site, str] | None:
    """Where the bucket is, and what its keys' paths begin with; None where botocore has to find
    it."""
    if place.endpoint is None or place.addressing == "auto":
        return None
    if place.endpoint.startswith("https:") and any(map(os.environ.get, _BUNDLES)):
        return None
    url = URL(place.endpoint)
    prefix = url.raw_path.rstrip("/")
    site = Site.of(url)
    if place.addressing == "path":
        return site, f"{prefix}/{place.bucket}"
    return site._replace(host=f"{place.bucket}.{site.host}"), prefix


def _error(head: Head, body: bytes) -> Any:
    from botocore.exceptions import ClientError

    code = _CODE.search(body)
    said = {
        "Error": {"Code": code[1].decode() if code else str(head.status)},
        "ResponseMetadata": {"HTTPStatusCode": head.status},
    }
    return ClientError(said, "GetObject")
