"""What is said of a dataset: its size, its phase, and how much of it the mesh holds."""

import asyncio

import msgspec
import numpy as np
from aiohttp import web

from meshcache.agent.held import exact as counting
from meshcache.agent.held.exact import Answers, Bitmap, ask_all, block_lengths, pack
from meshcache.agent.held.reads import Reads
from meshcache.agent.node import NODE, Node
from meshcache.agent.snapshots import OpenSnapshot
from meshcache.dataset import Dataset, Head, Mount, Policy
from meshcache.errors import MeshcacheError
from meshcache.traffic import Traffic

routes = web.RouteTableDef()

HELD, SAMPLE = "held", "sample"
"""The names of the routes that members ask each other to know what is held."""

SNAPSHOT_WITHIN = 3.0
"""Seconds in which an exact count must have the snapshot."""


class DatasetStatus(msgspec.Struct):
    """A dataset as `meshcache dataset list` shows it; sizes in bytes, times since 1970."""

    name: str
    phase: str
    """Bound once it was listed, else NotBound."""
    ufs_total: int | None
    files: int
    skipped: int
    cached: int | None
    """Bytes of its blocks that at least one living member holds; None while that cannot be told,
    for a moment after a new head or the agent's start."""
    cache_capacity: int
    cached_percentage: float | None
    reads: Reads
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
    exact: Answers | None = None
    """How it went, if every member was asked what it holds."""


class HeldHere(msgspec.Struct):
    """A dataset as one member holds it and reads it."""

    name: str
    held: int | None
    """Bytes; None as in `DatasetStatus.cached`."""
    percentage: float | None
    store: int
    """Bytes that this node's readers found in its own store."""
    peer: int
    """Bytes that they had from another member, wherever that had them from."""
    origin: int
    """Bytes that they had after this member asked the origin."""
    given: int
    """Bytes that other members' readers had out of this store."""
    fetched: int
    """Bytes that this member asked of the origin."""


@routes.get("/v1/datasets/{name}/held", name=HELD)
async def held(request: web.Request) -> web.Response:
    """This member's bitmap of a snapshot's blocks, 8 to a byte, for the member that counts."""
    node = request.app[NODE]
    dataset, opened = await node.catalog.open_listed(request.match_info["name"])
    if opened.snapshot.id != request.query.get("snapshot"):
        return web.Response(status=204)  # heads differ for a moment: nothing to add up
    return web.Response(body=pack(await counting.held_here(opened, node.store, dataset.block_size)))


@routes.get("/v1/datasets/{name}/sample", name=SAMPLE)
async def sample(request: web.Request) -> web.Response:
    """The sample of a head, if this member has it or can compute it, for one that has not."""
    node = request.app[NODE]
    name = request.match_info["name"]
    dataset, head = node.catalog.get(name), node.catalog.head(name)
    if head is None or head.snapshot != request.query.get("snapshot"):
        return web.Response(status=204)
    found = await node.holdings.samples.given(name, head, dataset.block_size)
    return web.Response(status=204) if found is None else web.Response(body=found.encode())


async def status_of(node: Node, dataset: Dataset, *, exact: bool = False) -> DatasetStatus:
    """What there is to say of a dataset; at once, unless every member is asked."""
    name = dataset.name
    head = node.catalog.head(name)
    answers = None
    cached: int | None = 0
    if head:
        cached = node.holdings.census.cached(dataset, head)
        if exact:
            cached, answers = await _counted(node, dataset, head)
    total = head.bytes if head else None
    return DatasetStatus(
        name=name,
        phase="Bound" if head else "NotBound",
        ufs_total=total,
        files=head.files if head else 0,
        skipped=head.skipped if head else 0,
        cached=cached,
        cache_capacity=node.mesh.capacity,
        cached_percentage=percentage(cached, total),
        reads=Reads.of(node.holdings.census.traffic(dataset.uid)),
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
        exact=answers,
    )


def held_here(node: Node) -> list[HeldHere]:
    """What this member holds of each dataset, as it has told the mesh."""
    found = []
    for dataset in node.catalog.all():
        head = node.catalog.head(dataset.name)
        me = node.mesh.me
        shares = node.holdings.census.shares(dataset, head, only=me) if head else {}
        held = None if shares is None else shares.get(me, 0)
        traffic = node.reader.accounts.traffic.get(dataset.name, Traffic())
        found.append(
            HeldHere(
                name=dataset.name,
                held=held,
                percentage=percentage(held, head.bytes if head else None),
                store=traffic.store,
                peer=traffic.peer,
                origin=traffic.origin,
                given=traffic.given,
                fetched=traffic.fetched,
            )
        )
    return found


def percentage(held: int | None, total: int | None) -> float | None:
    """0 to 100; of an empty dataset all is held."""
    if held is None:
        return None
    if not total:
        return 0.0 if total is None else 100.0
    return 100.0 * held / total


async def open_in_time(node: Node, dataset: Dataset) -> OpenSnapshot | None:
    """The head's snapshot; None if it cannot be had in time. No origin is listed for it."""
    try:
        async with asyncio.timeout(SNAPSHOT_WITHIN):
            return (await node.catalog.open_listed(dataset.name))[1]
    except (MeshcacheError, TimeoutError):
        return None


async def _counted(node: Node, dataset: Dataset, head: Head) -> tuple[int, Answers]:
    opened = await open_in_time(node, dataset)
    if opened is None:
        return 0, Answers(asked=len(node.mesh.living()) + 1, answered=0)
    lengths = await asyncio.to_thread(block_lengths, opened.snapshot, dataset.block_size)
    union: Bitmap = np.zeros(len(lengths), dtype=np.bool_)

    def take(_: str, bitmap: Bitmap) -> None:
        np.logical_or(union, bitmap, out=union)

    answers = await ask_all(
        dataset=dataset,
        opened=opened,
        store=node.store,
        mesh=node.mesh,
        client=node.client,
        take=take,
    )
    return int(lengths[union].sum()), answers
