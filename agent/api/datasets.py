"""Datasets: making, showing, refreshing and deleting them."""

import asyncio

import msgspec
from aiohttp import web

from meshcache.agent.api.answers import body, json
from meshcache.agent.api.dataset_status import status_of
from meshcache.agent.api.paths import path_of
from meshcache.agent.node import NODE
from meshcache.block import DEFAULT_BLOCK_SIZE
from meshcache.dataset import Dataset, Mount, Policy
from meshcache.snapshot import Entry

routes = web.RouteTableDef()


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

    def record(self) -> Dataset:
        """The dataset that is wished for.

        Raises:
            InvalidInput: it cannot be.
        """
        return Dataset(**{field: getattr(self, field) for field in self.__struct_fields__})


@routes.get("/v1/datasets")
async def all_datasets(request: web.Request) -> web.Response:
    """All datasets, with what the mesh holds of each."""
    node = request.app[NODE]
    exact = _exact(request)
    asked = (status_of(node, dataset, exact=exact) for dataset in node.catalog.all())
    return json(await asyncio.gather(*asked))


def _exact(request: web.Request) -> bool:
    """Whether every member is to be asked what it holds, and waited for."""
    return request.query.get("exact") == "1"


@routes.post("/v1/datasets")
async def create(request: web.Request) -> web.Response:
    """Make a dataset; its origins are listed before anything is kept."""
    node = request.app[NODE]
    new = await body(request, NewDataset)
    dataset = await node.catalog.create(new.record())
    return json(await status_of(node, dataset), status=201)


@routes.get("/v1/datasets/{name}")
async def show(request: web.Request) -> web.Response:
    """One dataset."""
    node = request.app[NODE]
    dataset = node.catalog.get(request.match_info["name"])
    return json(await status_of(node, dataset, exact=_exact(request)))


@routes.delete("/v1/datasets/{name}")
async def delete(request: web.Request) -> web.Response:
    """Forget a dataset."""
    await request.app[NODE].catalog.delete(request.match_info["name"])
    return web.Response(status=204)


class NewRefresh(msgspec.Struct, forbid_unknown_fields=True):
    every: float | None = None
    """Seconds; from now on the mesh refreshes it by itself. 0: no more."""


@routes.post("/v1/datasets/{name}/refresh")
async def refresh(request: web.Request) -> web.Response:
    """List the origins anew. With ``here=1`` this member lists, and answers with the head: whoever
    is asked by a user passes it on to the member whose turn it is."""
    node = request.app[NODE]
    name = request.match_info["name"]
    if request.query.get("here") == "1":
        return json(await node.refreshes.refresh_here(name))
    wish = await body(request, NewRefresh) if request.can_read_body else NewRefresh()
    if wish.every is not None:
        record = node.catalog.get(name)
        await node.catalog.change(msgspec.structs.replace(record, refresh_every=wish.every))
    await node.catalog.refresh(name)
    return json(await status_of(node, node.catalog.get(name)))


class VersionStatus(msgspec.Struct):
    """A version as `meshcache dataset versions` shows it; sizes in bytes."""

    id: str
    head: bool
    listed: float
    """Seconds since 1970."""
    files: int
    bytes: int
    lister: str


@routes.get("/v1/datasets/{name}/versions")
async def versions(request: web.Request) -> web.Response:
    """The versions of a dataset that are remembered, the newest first."""
    node = request.app[NODE]
    name = request.match_info["name"]
    head = node.catalog.head(name)
    return json(
        [
            VersionStatus(
                version.name,
                head is not None and head.snapshot == version.name,
                version.listed,
                version.files,
                version.bytes,
                version.lister,
            )
            for version in node.catalog.versions(name)
        ]
    )


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
    # A directory may have a million.
    return await asyncio.to_thread(lambda: json([_entry(each) for each in snapshot.entries(rows)]))


def _entry(entry: Entry) -> dict[str, str | int]:
    return {
        "name": entry.name.decode("utf-8", "replace"),
        "type": "dir" if entry.is_dir else "file",
        "size": entry.size,
        "mtime_ns": entry.mtime_ns,
    }
