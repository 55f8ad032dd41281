"""Many datasets at once, made or changed: what ``meshcache apply`` asks for."""

import asyncio
from typing import Literal

import msgspec
from aiohttp import web

from meshcache.agent.api.answers import body, json
from meshcache.agent.api.datasets import NewDataset
from meshcache.agent.node import NODE, Node
from meshcache.agent.references import in_order
from meshcache.dataset import Dataset
from meshcache.errors import InvalidInput, MeshcacheError

routes = web.RouteTableDef()


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
    return json([await _apply(node, spec, wish.dry_run) for spec in specs])


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
