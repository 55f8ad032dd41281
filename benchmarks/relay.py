"""Passing an HTTP answer from one connection to another."""

from contextlib import suppress

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


async def copy(
    request: web.BaseRequest, answer: aiohttp.ClientResponse, response: web.StreamResponse
) -> web.StreamResponse:
    """Pass an answer on as it comes; a client that goes away ends it."""
    with suppress(ConnectionError):
        await response.prepare(request)
        while chunk := await answer.content.readany():
            await response.write(chunk)
        await response.write_eof()
    return response


def break_off(request: web.BaseRequest) -> None:
    """Close the connection in the middle of the body, after what was written has left."""
    if request.transport is not None:
        request.transport.close()


def end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers that are for the other end, not for the next hop."""
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP
    )
