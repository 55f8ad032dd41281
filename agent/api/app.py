"""The application: who may ask what, and what an error looks like.

Over TCP each request must prove the mesh key, but for health; the files of a dataset may also be
read with that dataset's token, or by anybody with ``--open-reads``, and metrics with the scrapers'
token, or by anybody as far as they name no dataset. On the Unix socket the file's permissions have
decided already.
"""

import time
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from meshcache.agent.api import (
    apply,
    blocks,
    dataset_status,
    datasets,
    events,
    files,
    guests,
    health,
    keys,
    loads,
    locality,
    members,
    work,
)
from meshcache.agent.node import NODE, Node
from meshcache.agent.statuses import body_of, status_of
from meshcache.agent.trust import metricstoken
from meshcache.agent.trust.auth import ANSWER_HEADER, Proof, bearer, nonce_of
from meshcache.dataset import base_name
from meshcache.errors import (
    AgentUnreachable,
    InvalidInput,
    MeshcacheError,
    NotAllowed,
    NotFound,
)
from meshcache.gossip import NotRunning

log = structlog.get_logger()

MAX_BODY = 1 << 20
"""Bytes of a request's body over TCP, which is read before anything is proven."""

MAX_TRUSTED_BODY = 64 << 20
"""The same over the Unix socket: a load may list a million paths."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PROOF: web.RequestKey[Proof] = web.RequestKey("proof", Proof)
_BEGUN: web.RequestKey[web.StreamResponse] = web.RequestKey("begun", web.StreamResponse)


def build_app(node: Node, *, trusted: bool) -> web.Application:
    """The routes over the node's parts.

    Args:
        trusted: whoever can connect may do anything: the Unix socket.
    """
    middlewares = [_errors] if trusted else [_errors, _proof]
    app = web.Application(
        middlewares=middlewares, client_max_size=MAX_TRUSTED_BODY if trusted else MAX_BODY
    )
    app[NODE] = node
    cluster = (health, members, events, keys)
    modules = (*cluster, datasets, dataset_status, locality, apply, files, blocks, loads, work)
    for module in modules:
        app.add_routes(module.routes)
    app.on_response_prepare.append(_note_begun)
    if not trusted:
        app.on_response_prepare.append(_prove_answer)
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    answer = await _answer(request, handler)
    if request.get(_BEGUN, answer) is not answer:
        # Half of another answer went out, and this one would be taken for the rest of it.
        _hang_up(request)
    return answer


def _hang_up(request: web.Request) -> None:
    """End the connection here; what is returned then goes nowhere."""
    if request.transport is not None:
        request.transport.abort()


async def _note_begun(request: web.Request, response: web.StreamResponse) -> None:
    request.setdefault(_BEGUN, response)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except MeshcacheError as error:
        return _error_answer(error)
    except web.HTTPNotFound:
        return _error_answer(NotFound(f"no route {request.path}"))
    except web.HTTPRequestEntityTooLarge:
        return _error_answer(
            InvalidInput("what is asked for is too long for TCP: ask an agent by its own socket")
        )
    except web.HTTPException as error:
        if error.status < 400:
            raise
        body = {"error": "CallerError", "message": error.reason}
        return web.Response(
            body=msgspec.json.encode(body), status=error.status, content_type="application/json"
        )
    except NotRunning:
        return _error_answer(AgentUnreachable("this agent is leaving the mesh: ask another"))
    except ConnectionError:
        # The client hung up, or a stream cannot be gone on with.
        _hang_up(request)
        return web.Response(status=499)
    except Exception:
        log.exception("a route failed", method=request.method, path=request.path)
        return _error_answer(MeshcacheError("the agent failed: see its log"))


def _error_answer(error: MeshcacheError) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body_of(error)),
        status=status_of(error),
        content_type="application/json",
    )


@web.middleware
async def _proof(request: web.Request, handler: Handler) -> web.StreamResponse:
    node = request.app[NODE]
    if request.path in health.OPEN_ROUTES:
        return await handler(request)
    authorization = request.headers.get("Authorization")
    if request.path == health.METRICS:
        if authorization is None:
            request[health.STRANGER] = True
            return await handler(request)
        if (token := bearer(authorization)) is not None:
            metricstoken.check(token, node.config.metrics_token_file)
            return await handler(request)
    if request.match_info.route.name == files.ROUTE_NAME:
        token = bearer(authorization)
        if token is not None:
            dataset = base_name(request.match_info["name"])
            node.keys.check_token(token, request.method, dataset, time.time())
            return await handler(request)
        if node.config.open_reads and authorization is None:
            return await handler(request)
    # An answer that refuses is proven as well, so that its reason can be trusted.
    if (nonce := nonce_of(authorization)) is not None:
        request[_PROOF] = Proof(nonce, node.keys.in_use)
    request[_PROOF] = node.verifier.check(
        request.method,
        request.raw_path,
        request.headers.get("Range", ""),
        await request.read(),
        authorization,
    )
    if request[_PROOF].guest:
        await guests.check(request, request[_PROOF].guest)
    if request.method != "GET" and request.path.startswith(work.MOUNTS):
        # What is registered is unmounted when this agent ends: only its own node may say so.
        raise NotAllowed("mounts are registered over the agent's socket alone")
    if request.method == "POST" and request.path in keys.SOCKET_ALONE:
        raise NotAllowed("a key travels over the agent's socket alone: HTTP is not encrypted")
    return await handler(request)


async def _prove_answer(request: web.Request, response: web.StreamResponse) -> None:
    proof = request.get(_PROOF)
    if proof is None:
        return
    body = None
    if isinstance(response, web.Response):
        body = response.body if isinstance(response.body, bytes) else b""
    response.headers[ANSWER_HEADER] = request.app[NODE].keys.prove_answer(
        proof.nonce, response.status, response.headers, body, key=proof.key
    )
