"""What an agent does for its own node's users: mounts, tokens."""

import time
from typing import Annotated

import msgspec
from aiohttp import web

from meshcache.agent.api.answers import body, json
from meshcache.agent.node import NODE
from meshcache.errors import InvalidInput

routes = web.RouteTableDef()

MOUNTS = "/v1/mounts"

MAX_TOKEN_TTL = 366 * 86400.0
"""Seconds. A token cannot be taken back before the mesh key changes."""


class NewMount(msgspec.Struct, forbid_unknown_fields=True):
    dataset: str
    mountpoint: str
    pid: int
    keeper: str = ""
    """What its keeper calls itself, the same for each door that it comes for; random."""
    shown: dict[str, Annotated[int, msgspec.Meta(gt=0)]] = {}
    """Snapshots that the mount has shown: id -> bytes, oldest first."""


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    dataset: str
    ttl: float
    """Seconds."""


@routes.post(MOUNTS)
async def add_mount(request: web.Request) -> web.Response:
    new = await body(request, NewMount)
    mount = await request.app[NODE].mounts.add(
        new.dataset, new.mountpoint, new.pid, keeper=new.keeper, shown=new.shown
    )
    return json(mount, status=201)


@routes.get(MOUNTS)
async def all_mounts(request: web.Request) -> web.Response:
    return json(request.app[NODE].mounts.all())


@routes.delete(MOUNTS + "/{id}")
async def drop_mount(request: web.Request) -> web.Response:
    await request.app[NODE].mounts.drop(request.match_info["id"])
    return web.Response(status=204)


@routes.post("/v1/tokens")
async def make_token(request: web.Request) -> web.Response:
    new = await body(request, NewToken)
    node = request.app[NODE]
    node.catalog.get(new.dataset)
    if not 0 < new.ttl <= MAX_TOKEN_TTL:
        raise InvalidInput("a token lasts from one second to a year")
    expires = time.time() + new.ttl
    return json(
        {"token": node.keys.mint_token(new.dataset, expires), "expires": expires}, status=201
    )
