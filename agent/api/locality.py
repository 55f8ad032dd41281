"""Who holds how much of a dataset: for schedulers that bring the work to the data."""

import asyncio
from urllib.parse import parse_qsl

import msgspec
import numpy as np
from aiohttp import web

from meshcache.agent.api.answers import json
from meshcache.agent.api.dataset_status import open_in_time, percentage
from meshcache.agent.held.exact import Answers, Bitmap, ask_all, block_lengths, blocks_below
from meshcache.agent.node import NODE, Node
from meshcache.dataset import Dataset
from meshcache.errors import OriginUnreachable

routes = web.RouteTableDef()


class Holder(msgspec.Struct):
    """A living member that holds a part."""

    name: str
    """The node's name: the agent's ``--name``."""
    zone: str
    address: str
    """host:port of its HTTP server."""
    store: str
    """Its store id, for the case of two members with one name."""
    bytes: int
    percentage: float
    """Of all bytes below the path, 0 to 100."""


class Locality(msgspec.Struct):
    """A dataset, or what is below a path in it, and the members that hold parts of it."""

    dataset: str
    path: str
    snapshot: str
    bytes: int
    members: list[Holder]
    """The one that holds the most first."""
    exact: Answers | None
    """How it went, if every member was asked; else the bytes are from the members' summaries."""


@routes.get("/v1/datasets/{name}/locality")
async def locality(request: web.Request) -> web.Response:
    """Of the whole dataset at once, from the members' summaries; ``?path=`` below a path and
    ``?exact=1`` by asking every member."""
    node = request.app[NODE]
    dataset = node.catalog.get(request.match_info["name"])
    # From the raw URL, as in `paths`: names need not be UTF-8.
    query = dict(parse_qsl(request.rel_url.raw_query_string, errors="surrogateescape"))
    path = query.get("path", "").strip("/")
    if path or query.get("exact") == "1":
        return json(await _asked(node, dataset, path))
    head = node.catalog.head(dataset.name)
    shares = node.holdings.census.shares(dataset, head) if head else {}
    if head is None or shares is None:
        raise OriginUnreachable(f"what is held of {dataset.name!r} is not known yet: try again")
    holders = _holders(node, shares, head.bytes)
    return json(Locality(dataset.name, "/", head.snapshot, head.bytes, holders, None))


async def _asked(node: Node, dataset: Dataset, path: str) -> Locality:
    opened = await open_in_time(node, dataset)
    if opened is None:
        raise OriginUnreachable(f"no member that can be reached has the listing of {dataset.name}")
    snapshot, block_size = opened.snapshot, dataset.block_size
    row = snapshot.resolve(path)

    def lengths_below() -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        below = blocks_below(snapshot, row, block_size)
        return block_lengths(snapshot, block_size) * below

    lengths = await asyncio.to_thread(lengths_below)
    shares: dict[str, int] = {}

    def take(store: str, bitmap: Bitmap) -> None:
        if size := int(lengths[bitmap].sum()):
            shares[store] = size

    answers = await ask_all(
        dataset=dataset,
        opened=opened,
        store=node.store,
        mesh=node.mesh,
        client=node.client,
        take=take,
    )
    total = int(lengths.sum())
    holders = _holders(node, shares, total)
    return Locality(dataset.name, "/" + path, snapshot.id, total, holders, answers)


def _holders(node: Node, shares: dict[str, int], total: int) -> list[Holder]:
    members = node.mesh.by_store
    found = [
        Holder(
            name=peer.name,
            zone=peer.zone,
            address=peer.address,
            store=store,
            bytes=size,
            percentage=percentage(size, total) or 0.0,
        )
        for store, size in shares.items()
        if (peer := members.get(store)) is not None
    ]
    return sorted(found, key=lambda holder: (-holder.bytes, holder.name, holder.store))
