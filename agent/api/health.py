"""What probes and scrapers ask. Without proof they learn no dataset's name."""

from aiohttp import web

from meshcache.agent.metrics import render
from meshcache.agent.node import NODE

routes = web.RouteTableDef()

METRICS = "/metrics"
OPEN_ROUTES = frozenset({"/healthz", "/readyz"})
"""The routes that need no proof."""

STRANGER: web.RequestKey[bool] = web.RequestKey("stranger", bool)
"""True in a request that has proven nothing."""


@routes.get("/healthz")
async def healthz(request: web.Request) -> web.Response:
    """200 as long as the agent's loop turns."""
    return web.Response(text="ok\n")


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    """200 from the agent's ready line until it leaves, else 503."""
    ready = request.app[NODE].ready
    return web.Response(text="ok\n" if ready else "not ready\n", status=200 if ready else 503)


@routes.get(METRICS)
async def metrics(request: web.Request) -> web.Response:
    """The metrics, in Prometheus' text format; for a stranger without those of each dataset, as
    long as he may come from elsewhere."""
    node = request.app[NODE]
    names = node.config.loopback or not request.get(STRANGER, False)
    text, content_type = render(node, names=names)
    return web.Response(body=text, headers={"Content-Type": content_type})
