"""Many datasets at once, made or changed: what ``meshcache apply`` asks for."""

import asyncio
from typing import Literal

import msgspec
from aiohttp import web

from meshcache.agent.api.answers import body, json
from meshcache.agent.api.datasets import NewDataset
from meshcache.agent.node import NODE, Node
from meshcache.agent.origins.references import in_order
from meshcache.dataset import Dataset
from meshcache.errors import InvalidInput, MeshcacheError

routes = web.RouteTableDef()

AT_ONCE = 8
"""Datasets that one request has listed at a time."""


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a POST."""

    datasets: tuple[NewDataset, ...]
    dry_run: bool = False
    """Only say what would be done; no origin is asked."""


class Applied(msgspec.Struct):
    """What became of one dataset."""

    name: str
    result: Literal["created", "configured", "unchanged", "failed"]
    generation: int = 0
    error: str = ""
    """The error's name, if it failed."""
    message: str = ""


@routes.post("/v1/apply")
async def apply(request: web.Request) -> web.Response:
    """Make or change datasets. All are checked before the first is touched."""
    node = request.app[NODE]
    wish = await body(request, Wish)
    specs = in_order([new.record() for new in wish.datasets])
    if len(specs) != len(wish.datasets):
        raise InvalidInput("a dataset is given twice")
    given = {spec.name: spec for spec in specs}
    for spec in specs:
        try:
            await asyncio.to_thread(
                node.catalog.check, spec, lambda name: given.get(name) or node.catalog.find(name)
            )
        except InvalidInput as error:
            raise InvalidInput(f"nothing was changed, for dataset {spec.name!r}: {error}") from None
    return json(await _apply_all(node, specs, wish.dry_run))


async def _apply_all(node: Node, specs: list[Dataset], dry_run: bool) -> list[Applied]:
    """Some at a time; each when those that are its origins are done. `specs` is in that order."""
    turns = asyncio.Semaphore(AT_ONCE)
    under_way: dict[str, asyncio.Task[Applied]] = {}

    async def one(spec: Dataset) -> Applied:
        for name in spec.references():
            if name in under_way:
                await under_way[name]
        async with turns:
            return await _apply(node, spec, dry_run)

    async with asyncio.TaskGroup() as group:
        for spec in specs:
            under_way[spec.name] = group.create_task(one(spec))
    return [task.result() for task in under_way.values()]


async def _apply(node: Node, spec: Dataset, dry_run: bool) -> Applied:
    before = node.catalog.find(spec.name)
    if before is None:
        applied = Applied(spec.name, "created", spec.generation)
    else:
        changed = spec.of(before) != before
        applied = Applied(spec.name, "configured" if changed else "unchanged", before.generation)
    if dry_run or applied.result == "unchanged":
        return applied
    try:
        make = node.catalog.create if before is None else node.catalog.change
        applied.generation = (await make(spec)).generation
    except MeshcacheError as error:
        return Applied(spec.name, "failed", 0, type(error).__name__, str(error))
    return applied
