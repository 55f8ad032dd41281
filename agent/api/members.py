"""Who is in the mesh, and how this agent is."""

import time
from collections import Counter
from typing import Any

from aiohttp import web

from meshcache import __version__
from meshcache.agent.api.answers import json
from meshcache.agent.api.dataset_status import held_here
from meshcache.agent.mesh import Peer, peer_of
from meshcache.agent.node import NODE
from meshcache.gossip import Standing

routes = web.RouteTableDef()

STATES = ("alive", "suspect", "failed", "left")


@routes.get("/v1/members")
async def members(request: web.Request) -> web.Response:
    """All members this one knows, and the guests that it serves as leaves."""
    node = request.app[NODE]
    served = [peer_of(leaf) for leaf in node.gossip.leaves()]
    known = [*node.mesh.peers(), *served]
    # A guest that was a full member before it was a leaf is listed once.
    leaves = {peer.name for peer in known if peer.leaf}
    peers = [p for p in known if p.state in ("alive", "suspect") or p.name not in leaves]
    names = {peer.uid: peer.name for peer in peers}
    now = time.time()
    rows = [_row(peer, node.gossip.standing(peer.uid), names, now) for peer in peers]
    return json(sorted(rows, key=lambda row: (row["name"], row["uid"])))


def _row(peer: Peer, standing: Standing, names: dict[str, str], now: float) -> dict[str, Any]:
    return {
        "name": peer.name,
        "uid": peer.uid,
        "state": peer.state,
        "address": peer.address,
        "role": peer.role,
        "leaf": peer.leaf,
        "zone": peer.zone,
        "capacity": peer.capacity,
        "gossip": peer.gossip,
        "store": peer.store_id,
        "incarnation": peer.incarnation,
        "age": max(0.0, now - peer.since),
        "round_trip": standing.round_trip,
        "observers": [names.get(uid, uid) for uid in standing.observers],
        "accusers": [names.get(uid, uid) for uid in standing.accusers],
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
                "evictable": node.store.evictable,
                "evictions": node.store.evictions,
                "corrupt": node.store.corrupt,
            },
            "reads": {
                source: node.reader.accounts.bytes_from[source]
                for source in ("store", "peer", "origin")
            },
            "fallbacks": dict(node.reader.steps),
            "mounts": node.mounts.all(),
            "held": held_here(node),
        }
    )
