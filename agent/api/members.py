"""Who is in the mesh, and how this agent is."""

import time
from collections import Counter

from aiohttp import web

from meshcache import __version__
from meshcache.agent.api.answers import json
from meshcache.agent.mesh import Peer
from meshcache.agent.node import NODE

routes = web.RouteTableDef()

STATES = ("alive", "suspect", "failed", "left")


@routes.get("/v1/members")
async def members(request: web.Request) -> web.Response:
    """All members this one knows."""
    now = time.time()
    return json([_row(peer, now) for peer in request.app[NODE].mesh.peers()])


def _row(peer: Peer, now: float) -> dict[str, str | int | float]:
    return {
        "name": peer.name,
        "uid": peer.uid,
        "state": peer.state,
        "address": peer.address,
        "role": peer.role,
        "zone": peer.zone,
        "capacity": peer.capacity,
        "gossip": peer.gossip,
        "store": peer.store_id,
        "incarnation": peer.incarnation,
        "age": max(0.0, now - peer.since),
        "version": peer.version,
    }


@routes.get("/v1/status")
async def status(request: web.Request) -> web.Response:
    """This agent: its store, its reads, its mounts."""
    node = request.app[NODE]
    states = Counter(peer.state for peer in node.mesh.peers())
    return json(
        {
            "name": node.name,
            "uid": node.gossip.me.uid,
            "version": __version__,
            "role": node.config.role,
            "zone": node.config.zone,
            "uptime": time.time() - node.started,
            "address": node.address,
            "gossip": node.gossip.me.address,
            "socket": str(node.config.socket),
            "members": {state: states[state] for state in STATES},
            "datasets": len(node.catalog.names()),
            "store": {
                "id": node.store.store_id,
                "path": str(node.config.cache_dir),
                "quota": node.store.quota,
                "used": node.store.used,
                "blocks": node.store.blocks,
                "evictions": node.store.evictions,
                "corrupt": node.store.corrupt,
            },
            "reads": {
                source: node.reader.bytes_from[source] for source in ("store", "peer", "origin")
            },
            "fallbacks": dict(node.reader.steps),
            "mounts": node.mounts.all(),
        }
    )
