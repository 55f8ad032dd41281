"""What is said of a dataset: its size, its phase, and how much of it the mesh holds."""

import asyncio

import msgspec
import numpy as np
from aiohttp import web

from meshcache.agent.held.exact import Bitmap, held_bytes, held_here, pack, unpack
from meshcache.agent.mesh import Peer
from meshcache.agent.node import NODE, Node
from meshcache.agent.snapshots import OpenSnapshot
from meshcache.dataset import Dataset, Mount, Policy
from meshcache.errors import MeshcacheError

routes = web.RouteTableDef()

COUNT_TIMEOUT = 3.0
"""Seconds that members have to say what they hold; one that is late counts as holding nothing."""


class DatasetStatus(msgspec.Struct):
    """A dataset as `meshcache dataset list` shows it; sizes in bytes, times since 1970."""

    name: str
    phase: str
    """Bound once it was listed, else NotBound."""
    ufs_total: int | None
    files: int
    skipped: int
    cached: int
    """Bytes of its blocks that at least one living member holds."""
    cache_capacity: int
    cached_percentage: float
    created: float
    snapshot: str
    listed: float
    mounts: tuple[Mount, ...]
    options: dict[str, str]
    secret_options: dict[str, str]
    """References; what they refer to stays on the nodes."""
    block_size: int
    replicas: int
    policy: Policy
    ttl: float
    refresh_every: float
    generation: int
    namespaces: tuple[str, ...]


@routes.get("/v1/datasets/{name}/held")
async def held(request: web.Request) -> web.Response:
    """This member's bitmap of a snapshot's blocks, 8 to a byte, for the member that counts."""
    node = request.app[NODE]
    dataset, opened = await node.catalog.open_listed(request.match_info["name"])
    if opened.snapshot.id != request.query.get("snapshot"):
        return web.Response(status=204)  # heads differ for a moment: nothing to add up
    return web.Response(body=pack(await held_here(opened, node.store, dataset.block_size)))


async def _cached(node: Node, dataset: Dataset) -> int:
    """Bytes of a dataset that the mesh holds; 0 if its snapshot cannot be had in time."""
    try:
        async with asyncio.timeout(COUNT_TIMEOUT):
            _, opened = await node.catalog.open_listed(dataset.name)
    except (MeshcacheError, TimeoutError):
        return 0
    return held_bytes(opened, await _held_by_mesh(node, dataset, opened), dataset.block_size)


async def status_of(node: Node, dataset: Dataset) -> DatasetStatus:
    name = dataset.name
    head = node.catalog.head(name)
    cached = await _cached(node, dataset) if head else 0
    total = head.bytes if head else None
    return DatasetStatus(
        name=name,
        phase="Bound" if head else "NotBound",
        ufs_total=total,
        files=head.files if head else 0,
        skipped=head.skipped if head else 0,
        cached=cached,
        cache_capacity=node.mesh.capacity,
        cached_percentage=100.0 * cached / total if total else (100.0 if head else 0.0),
        created=dataset.created,
        snapshot=head.snapshot if head else "",
        listed=head.listed if head else 0.0,
        mounts=dataset.mounts,
        options=dataset.options,
        secret_options=dataset.secret_options,
        block_size=dataset.block_size,
        replicas=dataset.replicas,
        policy=dataset.policy,
        ttl=dataset.ttl,
        refresh_every=dataset.refresh_every,
        generation=dataset.generation,
        namespaces=dataset.namespaces,
    )


async def _held_by_mesh(node: Node, dataset: Dataset, opened: OpenSnapshot) -> Bitmap:
    bitmap = await held_here(opened, node.store, dataset.block_size)
    target = f"/v1/datasets/{dataset.name}/held?snapshot={opened.snapshot.id}"

    async def ask(peer: Peer) -> Bitmap | None:
        try:
            async with asyncio.timeout(COUNT_TIMEOUT):
                return unpack(await node.client.get(peer, target), bitmap.size)
        except (MeshcacheError, TimeoutError):
            return None

    for theirs in await asyncio.gather(*(ask(peer) for peer in node.mesh.living())):
        if theirs is not None:
            np.logical_or(bitmap, theirs, out=bitmap)
    return bitmap
