"""Datasets: making, showing, refreshing and deleting them, and what the mesh holds of them."""

import asyncio

import msgspec
import numpy as np
from aiohttp import web

from meshcache.agent.api.answers import body, json
from meshcache.agent.api.paths import path_of
from meshcache.agent.held import Bitmap, held_bytes, held_here, pack, unpack
from meshcache.agent.mesh import Peer
from meshcache.agent.node import NODE, Node
from meshcache.agent.snapshots import OpenSnapshot
from meshcache.block import DEFAULT_BLOCK_SIZE
from meshcache.dataset import Dataset, Mount, Policy
from meshcache.errors import MeshcacheError
from meshcache.snapshot import Snapshot

routes = web.RouteTableDef()

COUNT_TIMEOUT = 3.0
"""Seconds that members have to say what they hold; one that is late counts as holding nothing."""


class NewDataset(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a POST: what the user chooses of a `Dataset`."""

    name: str
    mounts: tuple[Mount, ...]
    options: dict[str, str] = {}
    secret_options: dict[str, str] = {}
    block_size: int = DEFAULT_BLOCK_SIZE
    replicas: int = 1
    policy: Policy = "immutable"
    ttl: float = 0.0
    refresh_every: float = 0.0
    namespaces: tuple[str, ...] = ()


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


@routes.get("/v1/datasets")
async def all_datasets(request: web.Request) -> web.Response:
    """All datasets, with what the mesh holds of each."""
    node = request.app[NODE]
    found = await asyncio.gather(*(_status(node, dataset) for dataset in node.catalog.all()))
    return json(found)


@routes.post("/v1/datasets")
async def create(request: web.Request) -> web.Response:
    """Make a dataset; its origins are listed before anything is kept."""
    node = request.app[NODE]
    new = await body(request, NewDataset)
    dataset = await node.catalog.create(Dataset(**msgspec.structs.asdict(new)))
    return json(await _status(node, dataset), status=201)


@routes.get("/v1/datasets/{name}")
async def show(request: web.Request) -> web.Response:
    """One dataset."""
    node = request.app[NODE]
    return json(await _status(node, node.catalog.get(request.match_info["name"])))


@routes.delete("/v1/datasets/{name}")
async def delete(request: web.Request) -> web.Response:
    """Forget a dataset."""
    await request.app[NODE].catalog.delete(request.match_info["name"])
    return web.Response(status=204)


@routes.post("/v1/datasets/{name}/refresh")
async def refresh(request: web.Request) -> web.Response:
    """List the origins anew."""
    node = request.app[NODE]
    name = request.match_info["name"]
    await node.catalog.refresh(name)
    return json(await _status(node, node.catalog.get(name)))


@routes.get("/v1/datasets/{name}/held")
async def held(request: web.Request) -> web.Response:
    """This member's bitmap of a snapshot's blocks, 8 to a byte, for the member that counts."""
    node = request.app[NODE]
    dataset, opened = await node.catalog.open_listed(request.match_info["name"])
    if opened.snapshot.id != request.query.get("snapshot"):
        return web.Response(status=204)  # heads differ for a moment: nothing to add up
    return web.Response(body=pack(await held_here(opened, node.store, dataset.block_size)))


@routes.get("/v1/datasets/{name}/skipped")
async def skipped(request: web.Request) -> web.Response:
    """The keys of the origins that are shown as no file, and why."""
    _, opened = await request.app[NODE].catalog.open(request.match_info["name"])
    return json([{"key": key, "reason": reason} for key, reason in opened.snapshot.skipped()])


@routes.get("/v1/datasets/{name}/entries{path:(/.*)?}")
async def entries(request: web.Request) -> web.Response:
    """A directory's entries, or a file's one."""
    node = request.app[NODE]
    _, opened = await node.catalog.open(request.match_info["name"])
    snapshot = opened.snapshot
    row = snapshot.resolve(path_of(request))
    rows = snapshot.children(row) if snapshot.is_dir(row) else range(row, row + 1)
    return json([_entry(snapshot, child) for child in rows])


def _entry(snapshot: Snapshot, row: int) -> dict[str, str | int]:
    entry = snapshot.entry(row)
    return {
        "name": entry.name.decode("utf-8", "replace"),
        "type": "dir" if entry.is_dir else "file",
        "size": entry.size,
        "mtime_ns": entry.mtime_ns,
    }


async def _cached(node: Node, dataset: Dataset) -> int:
    """Bytes of a dataset that the mesh holds; 0 if its snapshot cannot be had in time."""
    try:
        async with asyncio.timeout(COUNT_TIMEOUT):
            _, opened = await node.catalog.open_listed(dataset.name)
    except (MeshcacheError, TimeoutError):
        return 0
    return held_bytes(opened, await _held_by_mesh(node, dataset, opened), dataset.block_size)


async def _status(node: Node, dataset: Dataset) -> DatasetStatus:
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
