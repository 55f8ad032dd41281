"""What a guest may ask: the blocks of its dataset and who holds them, and no more.

A guest holds a key for one dataset (`meshcache.agent.trust.guestkey`). It names the blocks that
it wants itself, so each is looked at: that it is one of a file below the dataset's mounts, or the
listing of the dataset now or in a version that is remembered.
"""

from aiohttp import web

from meshcache.agent.api.blocks import BLOCK, wanted_of
from meshcache.agent.api.dataset_status import HELD, SAMPLE
from meshcache.agent.node import NODE, Node
from meshcache.errors import NotAllowed
from meshcache.wanted import SNAPSHOT_ORIGIN


async def check(request: web.Request, dataset: str) -> None:
    """Let pass what a guest of `dataset` may ask.

    Raises:
        NotAllowed: it is something else.
        MeshcacheError: the dataset is not known here, or has no such file.
    """
    route, named = request.match_info.route.name, request.match_info.get("name")
    if request.method == "GET" and route in (HELD, SAMPLE) and named == dataset:
        return  # of a listing that a guest may have
    if request.method != "GET" or route != BLOCK:
        raise NotAllowed("a guest reads its dataset's blocks: this takes the mesh key")
    wanted = wanted_of(request)
    if wanted.dataset != dataset:
        raise NotAllowed(f"the guest's key is for dataset {dataset!r}, not {wanted.dataset!r}")
    node = request.app[NODE]
    file = wanted.block.file
    if file.origin != SNAPSHOT_ORIGIN:
        node.origins.for_block(wanted)  # which raises what is not below the dataset's mounts
    elif file.key not in _listings(node, dataset):
        raise NotAllowed(f"that is no listing of dataset {dataset!r}")


def _listings(node: Node, dataset: str) -> set[str]:
    head = node.catalog.head(dataset)
    versions = {version.name for version in node.catalog.versions(dataset)}
    return versions | ({head.snapshot} if head else set())
