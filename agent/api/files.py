"""Files by path, for curl and whoever else speaks HTTP: the door without a mount."""

from email.utils import formatdate

import structlog
from aiohttp import web

from meshcache.agent.api.answers import send
from meshcache.agent.api.paths import path_of
from meshcache.agent.api.ranges import Part, byte_range
from meshcache.agent.node import NODE, Node
from meshcache.block import FileVersion
from meshcache.dataset import Dataset
from meshcache.errors import MeshcacheError, ObjectChanged
from meshcache.wanted import Wanted

log = structlog.get_logger()

routes = web.RouteTableDef()

ROUTE_NAME = "files"
"""The route that a dataset's token opens."""


@routes.get("/v1/datasets/{name}/files/{path:.*}", name=ROUTE_NAME)
async def get_file(request: web.Request) -> web.StreamResponse:
    """A file of the dataset's head, whole or by range."""
    node = request.app[NODE]
    name = request.match_info["name"]
    dataset, opened = await node.catalog.open(name)
    row = opened.snapshot.resolve(path_of(request))
    file = opened.snapshot.file(row)
    node.freshness.touch(name)
    try:
        await node.freshness.check(dataset.name, file)
    except ObjectChanged:
        if name != dataset.name:
            raise
        await node.freshness.relist(name)
        _, opened = await node.catalog.open(name)
        row = opened.snapshot.resolve(path_of(request))
        file = opened.snapshot.file(row)
    etag = f'"{file.id.hex()}"'
    mtime = opened.snapshot.entry(row).mtime_ns / 1e9
    headers = {"ETag": etag, "Last-Modified": formatdate(mtime, usegmt=True)}
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    part = byte_range(request, file.size, etag)
    response = web.StreamResponse(status=part.status, headers=headers | part.headers)
    response.headers["Content-Type"] = "application/octet-stream"
    response.content_length = len(part)
    if request.method == "HEAD" or not len(part):
        await response.prepare(request)
        return response
    await _send(request, response, node, dataset, file, part)
    return response


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    node: Node,
    dataset: Dataset,
    file: FileVersion,
    part: Part,
) -> None:
    """Send the part block by block. The first is had before the status goes out, so that what is
    wrong from the start becomes an error; what goes wrong later breaks the connection off, which
    the Content-Length shows to be a failure."""
    size = dataset.block_size
    for index in range(part.start // size, (part.stop - 1) // size + 1):
        wanted = Wanted(dataset.name, file.block(size, index))
        node.prefetcher.touch(wanted)
        try:
            held = await node.reader.read(wanted)
        except MeshcacheError as error:
            if not response.prepared:
                raise
            log.warning("a file broke off", dataset=dataset.name, key=file.key, error=str(error))
            raise ConnectionResetError(str(error)) from error
        with held:
            if not response.prepared:
                await response.prepare(request)
            offset = wanted.block.offset
            first = max(part.start - offset, 0)
            last = min(part.stop - offset, held.length)
            await send(response, held.view[first:last])
    await response.write_eof()
