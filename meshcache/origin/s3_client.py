"""The S3 client: made when first used, made anew when the secrets have changed.

botocore is slow to import (0.4 s) and to make a client of, so both happen in a thread or at least
not before somebody reads; its loggers are cut off, for at debug level they tell signatures.
"""

import asyncio
import contextlib
import functools
import importlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from meshcache.errors import InvalidInput, OriginDenied, OriginError
from meshcache.origin.attempts import CONNECT, STALL
from meshcache.origin.s3_errors import failure
from meshcache.origin.s3_pages import EVENT, take_page
from meshcache.origin.s3_place import Place

SECRETS = frozenset({"access_key", "secret_key", "session_token"})

CONNECTIONS = 32
"""To one origin from one node. A single stream of a large store gives 50 to 100 MB/s."""

RECHECK = 5.0
"""Seconds after which a client in use looks at its secrets again: an old key may be valid for long
after it was replaced. A server that refuses the old one is believed at once (`renew`)."""

_READ_SECRETS = 1.0
"""Seconds for that; a file system that hangs must not hold up who reads with what is known."""

_CHAIN = 10.0
"""Seconds for botocore to find credentials by itself. Outside a cloud the metadata service does not
answer; one try of 1 s each is asked of it below, and this bounds whatever else it may try."""


class Lease:
    """A client and those who use it: closed when it is no longer the current one nor used."""

    def __init__(self, client: Any, secrets: Mapping[str, str]) -> None:
        self.client = client
        self.secrets = secrets
        self.users = 0
        self.retired = False
        self.checked = time.monotonic()


class S3Clients:
    """The one client of an origin, with its connection pool."""

    def __init__(self, place: Place, secrets: Callable[[], Mapping[str, str]]) -> None:
        self._place = place
        self._secrets = secrets
        self._current: Lease | None = None
        self._making = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[Lease]:
        """The current client, kept open until the block ends.

        Raises:
            OriginDenied: this node has no credentials for the origin.
        """
        async with self._making:
            if self._current is None:
                self._current = await self._make(await self._resolve())
            elif time.monotonic() - self._current.checked >= RECHECK:
                await self._recheck(self._current)
            lease = self._current
            lease.users += 1
        try:
            yield lease
        finally:
            lease.users -= 1
            await self._close_if_done(lease)

    async def renew(self, refused: Lease) -> bool:
        """Whether another client than `refused` can be used: the secrets may have been rotated."""
        async with self._making:
            if self._current is not refused:
                return True
            return await self._replace(refused, await self._resolve())

    async def _recheck(self, lease: Lease) -> None:
        """Replace the client if its secrets were; what cannot be read now changes nothing."""
        lease.checked = time.monotonic()
        with contextlib.suppress(OriginError, InvalidInput, TimeoutError):
            async with asyncio.timeout(_READ_SECRETS):
                secrets = await self._resolve()
            await self._replace(lease, secrets)

    async def _replace(self, old: Lease, secrets: Mapping[str, str]) -> bool:
        if secrets == old.secrets:
            return False
        self._current = await self._make(secrets)
        old.retired = True
        await self._close_if_done(old)
        return True

    async def close(self) -> None:
        """Close the pool when its last user is done. Idempotent."""
        async with self._making:
            lease, self._current = self._current, None
        if lease is not None:
            lease.retired = True
            await self._close_if_done(lease)

    async def _close_if_done(self, lease: Lease) -> None:
        if lease.retired and not lease.users and lease.client is not None:
            client, lease.client = lease.client, None
            await client.__aexit__(None, None, None)

    async def _resolve(self) -> Mapping[str, str]:
        if self._place.anonymous:
            return {}
        try:
            # Files, perhaps of a network: not in the loop.
            secrets = dict(await asyncio.to_thread(self._secrets))
        except InvalidInput as error:
            raise OriginDenied(f"{self._place.shown}: {error}") from error
        if unknown := secrets.keys() - SECRETS:
            raise InvalidInput(f"{min(unknown)!r} is no secret option of {self._place.url}")
        if secrets and not {"access_key", "secret_key"} <= secrets.keys():
            raise InvalidInput(f"{self._place.url} needs both access_key and secret_key, or none")
        if not secrets and self._place.endpoint:
            # Whoever makes a dataset names its endpoint, and a session token travels with each
            # request: what this node has in its environment is for AWS and nobody else.
            raise OriginDenied(
                f"{self._place.shown}: give access_key and secret_key as secret options, or the "
                "option anonymous=true; a node's own credentials go to no other endpoint than AWS"
            )
        return secrets

    async def _make(self, secrets: Mapping[str, str]) -> Lease:
        session, config = await asyncio.to_thread(_prepare, self._place)
        try:
            if not secrets and not self._place.anonymous:
                async with asyncio.timeout(_CHAIN):
                    await session.get_credentials()
            client = await session.create_client(
                "s3",
                # A custom endpoint has one region; only the signature needs a name for it.
                region_name=self._place.region or ("us-east-1" if self._place.endpoint else None),
                endpoint_url=self._place.endpoint,
                aws_access_key_id=secrets.get("access_key"),
                aws_secret_access_key=secrets.get("secret_key"),
                aws_session_token=secrets.get("session_token"),
                config=config,
            ).__aenter__()
        except TimeoutError as error:
            raise OriginDenied(
                f"{self._place.shown}: no credentials were found in {_CHAIN:.0f} s"
            ) from error
        except Exception as error:
            raise failure(self._place.shown, error) from error
        _parse_pages(client)
        return Lease(client, secrets)


def warm_up() -> None:
    """Import what S3 takes, and read its description: a second, once. For a thread."""
    importlib.import_module("aiobotocore.config")
    importlib.import_module("aiobotocore.session")
    _loader()


def _prepare(place: Place) -> tuple[Any, Any]:
    """A session and a client's settings; the slow imports happen here, in a thread."""
    for name in ("botocore", "aiobotocore"):
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())

    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession
    from botocore import UNSIGNED

    session = AioSession()
    session.register_component("data_loader", _loader())
    session.set_config_variable("metadata_service_timeout", 1)
    session.set_config_variable("metadata_service_num_attempts", 1)
    config = AioConfig(
        signature_version=UNSIGNED if place.anonymous else "s3v4",
        s3={"addressing_style": place.addressing},
        connect_timeout=CONNECT,
        # Ours is first, and watches for progress.
        read_timeout=STALL + 5,
        max_pool_connections=CONNECTIONS,
        # Ours resume where a body broke off; botocore's do not.
        retries={"total_max_attempts": 1, "mode": "standard"},
        # Bodies are ranges, which have no checksum of their own; some servers choke on the header.
        response_checksum_validation="when_required",
        request_checksum_calculation="when_required",
        # The endpoint is part of the identity: no variable of one node may change it.
        ignore_configured_endpoint_urls=True,
        parameter_validation=False,
        user_agent="meshcache",  # botocore makes up its own anew for each request, in 0.1 ms
    )
    return session, config


def _parse_pages(client: Any) -> None:
    """Have the pages of listings parsed by us."""
    from botocore import handlers

    client.meta.events.register(EVENT, take_page)
    # It builds a tree of each answer to see whether it is an error after all; ours sees that too.
    client.meta.events.unregister("before-parse.s3.*", getattr(handlers, "_handle_200_error", None))


@functools.cache
def _loader() -> Any:
    """What reads botocore's descriptions of the service, once for all origins (0.3 s each time)."""
    from botocore.loaders import create_loader

    loader = create_loader()
    loader.load_service_model("s3", "service-2", None)
    loader.load_service_model("s3", "endpoint-rule-set-1", None)
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
    return loader
