"""What happens in the mesh, as it happens: a stream of JSON lines that does not end by itself."""

import msgspec
from aiohttp import web

from meshcache.agent.mesh.monitor import KINDS
from meshcache.agent.node import NODE
from meshcache.errors import InvalidInput

routes = web.RouteTableDef()

BEAT = 10.0
"""Seconds without an event after which an empty line says that the stream still lives."""


@routes.get("/v1/events")
async def events(request: web.Request) -> web.StreamResponse:
    """A line for each event of the kinds in the query ``kinds`` (``member,map``; all without).

    The first line is of the kind `begin`, the last, if there is one, `end` with the reason.
    """
    node = request.app[NODE]
    kinds = request.query.get("kinds", ",".join(KINDS)).split(",")
    if unknown := set(kinds) - set(KINDS):
        raise InvalidInput(f"no kind of event {', '.join(sorted(unknown))}: choose from {KINDS}")
    with node.monitor.watch(kinds) as watcher:
        response = web.StreamResponse()
        response.content_type = "application/x-ndjson"
        await response.prepare(request)
        await response.write(_line({"kind": "begin", "name": node.name}))
        while True:
            records = await watcher.take(BEAT)
            data = b"".join(map(_line, records)) or b"\n"
            ended = watcher.ended
            if ended:
                data += _line({"kind": "end", "detail": ended})
            try:
                async with watcher.patience():
                    await response.write(data)
            except TimeoutError as error:
                raise ConnectionAbortedError("the client does not take its events") from error
            if ended:
                return response


def _line(record: dict[str, object]) -> bytes:
    return msgspec.json.encode(record) + b"\n"
