"""Loads: starting, following and ending them."""

from aiohttp import web

from meshcache.agent.api.answers import body, json
from meshcache.agent.loads import NewLoad
from meshcache.agent.node import NODE

routes = web.RouteTableDef()


@routes.post("/v1/loads")
async def start(request: web.Request) -> web.Response:
    """Start a load; it goes on whoever ends."""
    return json(await request.app[NODE].loads.start(await body(request, NewLoad)), status=201)


@routes.get("/v1/loads")
async def all_loads(request: web.Request) -> web.Response:
    """All loads."""
    return json(request.app[NODE].loads.all())


@routes.get("/v1/loads/{name}")
async def show(request: web.Request) -> web.Response:
    """One load."""
    return json(request.app[NODE].loads.get(request.match_info["name"]))
