"""Loads: starting, following and ending them."""

from aiohttp import web

from meshcache.agent.api.answers import body, json
from meshcache.agent.loads import NewLoad
from meshcache.agent.node import NODE

routes = web.RouteTableDef()


@routes.post("/v1/loads")
async def start(request: web.Request) -> web.Response:
    """Start a load, which goes on whoever ends; or say what it would do (`dry_run`)."""
    new = await body(request, NewLoad)
    started = await request.app[NODE].loads.start(new)
    return json(started, status=200 if new.dry_run else 201)


@routes.post("/v1/loads/check")
async def check(request: web.Request) -> web.Response:
    """What of such a load is loaded already."""
    return json(await request.app[NODE].loads.check(await body(request, NewLoad)))


@routes.get("/v1/loads")
async def all_loads(request: web.Request) -> web.Response:
    """All loads of the mesh, without their members."""
    return json(request.app[NODE].loads.all())


@routes.get("/v1/loads/{name}")
async def show(request: web.Request) -> web.Response:
    """One load, with each member's part."""
    return json(request.app[NODE].loads.get(request.match_info["name"]))


@routes.get("/v1/loads/{name}/spec")
async def spec(request: web.Request) -> web.Response:
    """One load as it was asked for: what a POST takes."""
    return json(await request.app[NODE].loads.wish(request.match_info["name"]))


@routes.post("/v1/loads/{name}/cancel")
async def cancel(request: web.Request) -> web.Response:
    """End a load; what is loaded stays."""
    return json(request.app[NODE].loads.cancel(request.match_info["name"]))


@routes.delete("/v1/loads/{name}")
async def delete(request: web.Request) -> web.Response:
    """End a load and forget it."""
    request.app[NODE].loads.delete(request.match_info["name"])
    return web.Response(status=204)
