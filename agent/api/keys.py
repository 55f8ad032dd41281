"""The mesh keys: which there are, and their change in the whole mesh.

Keys have ids here, which do not reveal them. A new key comes in, and a guest's goes out, over the
agent's socket alone: HTTP between machines is not encrypted, gossip's links are.
"""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from meshcache.agent.api.answers import body, json
from meshcache.agent.node import NODE
from meshcache.agent.trust import guestkey, meshkey
from meshcache.errors import InvalidInput, KeyStepTooEarly, NotFound
from meshcache.gossip import InvalidSettings, KeyNotReady, KeyStep

Step = Callable[[str], Awaitable[KeyStep]]

routes = web.RouteTableDef()

KEYS = "/v1/keys"
GUESTS = "/v1/keys/guests"

SOCKET_ALONE = {KEYS, GUESTS}
"""Where a POST carries a key, one way or the other."""


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    """As it stands in a mesh key file."""


class NewGuest(msgspec.Struct, forbid_unknown_fields=True):
    dataset: str


@routes.get(KEYS)
async def survey(request: web.Request) -> web.Response:
    """Each key of the mesh with how many members hold and use it; who did not answer."""
    node = request.app[NODE]
    return json(await node.gossip.rotation.survey())


@routes.post(KEYS)
async def install(request: web.Request) -> web.Response:
    """Have all members accept another key."""
    new = await body(request, NewKey)
    keys = meshkey.parse(new.key.encode())
    if len(keys) != 1:
        raise InvalidInput(f"one key is installed at a time, these are {len(keys)}")
    try:
        return json(await request.app[NODE].gossip.rotation.install(keys[0]))
    except InvalidSettings as error:
        raise InvalidInput(str(error)) from error


@routes.post(GUESTS)
async def guest(request: web.Request) -> web.Response:
    """A key for guests of one dataset."""
    node = request.app[NODE]
    name = node.catalog.get((await body(request, NewGuest)).dataset).name
    key = guestkey.guest_key(node.gossip.keys.secrets[0], name)
    return json({"dataset": name, "key": str(key)}, status=201)


@routes.post(KEYS + "/{id}/use")
async def use(request: web.Request) -> web.Response:
    """Have all members use an installed key."""
    return await _step(request, request.app[NODE].gossip.rotation.use)


@routes.delete(KEYS + "/{id}")
async def remove(request: web.Request) -> web.Response:
    """Have all members forget a key that none uses."""
    return await _step(request, request.app[NODE].gossip.rotation.remove)


async def _step(request: web.Request, step: Step) -> web.Response:
    start = request.match_info["id"].lower()
    survey = await request.app[NODE].gossip.rotation.survey()
    ids = [key.id for key in survey.keys if key.id.startswith(start)]
    if len(ids) != 1:
        which = "no key's id begins" if not ids else f"{len(ids)} keys' ids begin"
        raise NotFound(f"{which} with {start!r}: see `meshcache keys list`")
    try:
        return json(await step(ids[0]))
    except KeyNotReady as error:
        raise KeyStepTooEarly(str(error)) from error
