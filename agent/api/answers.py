"""What routes read and answer with."""

import asyncio
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from meshcache.errors import InvalidInput

T = TypeVar("T")

WRITE_SIZE = 1 << 20
"""Bytes of a stream handed to the transport at a time: a slice of a mapping, not a copy."""

TAKEN_WITHIN = 60.0
"""Seconds a client has to take those. One that was stopped would hold its block for ever."""


def json(value: Any, status: int = 200) -> web.Response:
    """A value as a JSON body; anything that msgspec can write."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )


async def body(request: web.Request, type_: type[T]) -> T:
    """The request's JSON body.

    Raises:
        InvalidInput: it is not JSON, or not of that shape.
    """
    try:
        return msgspec.json.decode(await request.read(), type=type_)
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidInput(f"the body cannot be read: {error}") from error


async def send(response: web.StreamResponse, data: memoryview) -> None:
    """Stream bytes of a block that is lent.

    Raises:
        ConnectionError: the client is gone, or takes nothing.
    """
    for start in range(0, len(data), WRITE_SIZE):
        try:
            async with asyncio.timeout(TAKEN_WITHIN):
                await response.write(data[start : start + WRITE_SIZE])
        except TimeoutError as error:
            raise ConnectionAbortedError("the client does not take its answer") from error
