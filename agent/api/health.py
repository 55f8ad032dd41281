"""What probes and scrapers ask, without proof: nothing here names a dataset's content."""

from aiohttp import web

from meshcache.agent.metrics import render
from meshcache.agent.node import NODE

routes = web.RouteTableDef()

OPEN_ROUTES = frozenset({"/healthz", "/readyz", "/metrics"})
"""The routes that need no proof."""


@routes.get("/healthz")
async def healthz(request: web.Request) -> web.Response:
    """200 as long as the agent's loop turns."""
    return web.Response(text="ok\n")


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    """200 from the agent's ready line until it leaves, else 503."""
    ready = request.app[NODE].ready
    return web.Response(text="ok\n" if ready else "not ready\n", status=200 if ready else 503)


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """The metrics, in Prometheus' text format."""
    text, content_type = render(request.app[NODE])
    return web.Response(body=text, headers={"Content-Type": content_type})
