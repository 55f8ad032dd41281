"""What routes read and answer with."""

from typing import Any, TypeVar

import msgspec
from aiohttp import web

from meshcache.errors import InvalidInput

T = TypeVar("T")


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
