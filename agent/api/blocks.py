"""Blocks, for peers: the path that the data of the mesh takes."""

from collections.abc import Iterator
from urllib.parse import parse_qsl

from aiohttp import web
from blake3 import blake3

from meshcache.agent.api.answers import send
from meshcache.agent.api.ranges import Part, byte_range
from meshcache.agent.mesh.peers import parse_block_target
from meshcache.agent.node import NODE, Node
from meshcache.agent.trust.auth import CHECKSUMS_HEADER
from meshcache.errors import BlockElsewhere
from meshcache.fanout import SENT_ON_FROM
from meshcache.store import Held
from meshcache.traffic import Purpose
from meshcache.wanted import Wanted

routes = web.RouteTableDef()

BLOCK = "block"
"""The name of the route that gives one."""


def _query(request: web.Request) -> dict[str, str]:
    # From the raw URL: aiohttp's own decoding would replace bytes of a key that are no UTF-8.
    return dict(parse_qsl(request.rel_url.raw_query_string, True, errors="surrogateescape"))


def wanted_of(request: web.Request) -> Wanted:
    """The block that a request names, and what it can be filled from.

    Raises:
        InvalidInput: a part is missing or wrong.
    """
    return parse_block_target(request.match_info["id"], _query(request))


@routes.get("/v1/blocks/{id}", name=BLOCK)
async def get_block(request: web.Request) -> web.StreamResponse:
    """A block: its data, then the checksum of each piece, as it lies in the store.

    ``only-if-held=1`` in the query, which the proof covers, asks only for what is held; else what
    is missing is filled from the origin, for the asker takes this member for the block's owner.
    With ``for=load`` it counts as what a load has, else as what a reader was given.

    Who names itself (``by=``, its store id) may be sent to another member that has the block from
    here, or soon will: `BlockElsewhere`. That one is asked with ``sent-on=1``.
    """
    node, query, wanted = request.app[NODE], _query(request), wanted_of(request)
    asker = query.get("by", "") if wanted.block.length >= SENT_ON_FROM else ""
    if asker and (giver := node.fanout.elsewhere(wanted.block.id, asker)):
        node.served.sent_on += 1
        raise BlockElsewhere(giver)
    with node.fanout.giving(wanted.block.id, asker):
        return await _give(request, await _got(node, query, wanted))


async def _got(node: Node, query: dict[str, str], wanted: Wanted) -> Held:
    if query.get("sent-on") == "1":
        return await node.reader.give_on(wanted, _purpose(query))
    only_if_held = query.get("only-if-held") == "1"
    purpose = None if only_if_held else _purpose(query)
    return await node.reader.fill(wanted, only_if_held=only_if_held, purpose=purpose)


async def _give(request: web.Request, held: Held) -> web.StreamResponse:
    with held, request.app[NODE].served.sending(held.length):
        whole = held.length + len(held.checksums)
        part = byte_range(request, whole)
        response = web.StreamResponse(status=part.status, headers=part.headers)
        response.headers["Content-Type"] = "application/octet-stream"
        response.headers["ETag"] = f'"{held.id}"'
        response.headers[CHECKSUMS_HEADER] = blake3(held.checksums).hexdigest()
        response.content_length = len(part)
        await response.prepare(request)
        for data in _cut(held, part):
            await send(response, data)
        await response.write_eof()
        return response


def _purpose(query: dict[str, str]) -> Purpose:
    return "load" if query.get("for") == "load" else "read"


def _cut(held: Held, part: Part) -> Iterator[memoryview]:
    for data, offset in ((held.view, 0), (memoryview(held.checksums), held.length)):
        yield data[max(part.start - offset, 0) : max(part.stop - offset, 0)]


@routes.post("/v1/blocks/{id}")
async def fill_block(request: web.Request) -> web.Response:
    """Fill the block here, and send nothing back: what a load asks of each owner."""
    (await request.app[NODE].reader.fill(wanted_of(request))).release()
    return web.Response(status=204)
