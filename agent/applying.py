"""Having an agent do what documents ask for: one way for the command, and for what an agent's own
folder declares."""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import msgspec

from meshcache.agent.client import AgentClient
from meshcache.agent.loads.spec import NewLoad
from meshcache.agent.loads.wish import canonical
from meshcache.agent.specs import Plan
from meshcache.dataset import base_name
from meshcache.errors import MeshcacheError, NotFound

FAILED: Final = "failed"


class Outcome(NamedTuple):
    """What became of one object."""

    kind: str
    """``dataset`` or ``load``."""
    name: str
    result: str
    """``created``, ``configured``, ``unchanged`` or ``failed``."""
    message: str = ""
    """Why it failed."""


async def apply(
    client: AgentClient, plan: Plan, *, dry_run: bool = False
) -> AsyncIterator[Outcome]:
    """Make or change what a plan has, datasets first. What fails stops nothing else.

    Args:
        client: asks the agent.
        plan: without errors.
        dry_run: only say what would be done.

    Raises:
        MeshcacheError: no dataset could be applied, as the agent says.
    """
    wishes = [dataset.wish() for dataset in plan.datasets]
    results = await client.apply(wishes, dry_run=dry_run) if wishes else []
    for result in results:
        yield Outcome("dataset", result["name"], result["result"], result["message"])
    broken = {result["name"] for result in results if result["result"] == FAILED}
    given = {dataset.name for dataset in plan.datasets}
    for load in plan.loads:
        dataset = base_name(load.dataset)
        if dataset in broken:
            yield Outcome("load", load.name, FAILED, "its dataset is not there")
            continue
        try:
            if dry_run and dataset not in given:
                await client.dataset(dataset)
            yield await _apply_load(client, load, dry_run)
        except MeshcacheError as error:
            yield Outcome("load", load.name, FAILED, str(error))


async def _apply_load(client: AgentClient, load: NewLoad, dry_run: bool) -> Outcome:
    wish = canonical(load)
    before = await _before(client, load.name)
    if wish == before:
        return Outcome("load", load.name, "unchanged")
    result = "configured" if before else "created"
    if dry_run:
        return Outcome("load", load.name or f"{base_name(load.dataset)}-...", result)
    if before is not None:
        await client.delete_load(load.name)
    started = await client.start_load(msgspec.structs.asdict(wish))
    return Outcome("load", started["name"], result)


async def _before(client: AgentClient, name: str) -> NewLoad | None:
    try:
        return msgspec.convert(await client.load_spec(name), NewLoad) if name else None
    except NotFound:
        return None
