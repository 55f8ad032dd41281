"""Selections too long for a record: blocks of the mesh's own, named by their hash.

They come from any member that holds them. The starter has a few members fetch one before the load
is written down, so that the load outlives its starter, and each member holds it while it needs it.
"""

import asyncio

import msgspec
import structlog
from blake3 import blake3

from meshcache.agent.loads.record import Blob
from meshcache.agent.loads.selection import Selection
from meshcache.agent.mesh import MeshView
from meshcache.agent.snapshots import snapshot_block
from meshcache.errors import ChecksumMismatch, InvalidInput, MeshcacheError, StoreFull
from meshcache.reader import Reader
from meshcache.store import Held, Store, memory_draft
from meshcache.wanted import Wanted

log = structlog.get_logger()

INLINE = 2048
"""Bytes that a selection may take in a record of at most 4096."""

KEEPERS = 3
"""Members that hold a list from the start."""


class Lists:
    """Keeps and fetches long selections."""

    def __init__(self, store: Store, reader: Reader, mesh: MeshView) -> None:
        self._store = store
        self._reader = reader
        self._mesh = mesh

    async def keep(self, dataset: str, selection: Selection) -> Selection | Blob:
        """The selection as a record can carry it: itself, or the name under which it is kept."""
        data = msgspec.msgpack.encode(selection)
        if len(data) <= INLINE:
            return selection
        blob = Blob(await asyncio.to_thread(_hash, data), len(data))
        block = snapshot_block(blob.id, blob.size)
        if block.id not in self._store:
            try:
                draft = self._store.reserve(block.id, blob.size)
            except StoreFull:
                draft = memory_draft(block.id, blob.size)
            draft.view[:] = data
            (await draft.commit()).release()
        others = [s for s in self._mesh.owners(block.id, KEEPERS + 1) if s != self._mesh.me]
        for store in others[: KEEPERS - 1]:
            try:
                await self._mesh.fill(store, Wanted(dataset, block))
            except MeshcacheError as error:
                log.warning("list not kept at a second member", error=str(error))
        return blob

    async def open(self, dataset: str, kept: Selection | Blob) -> tuple[Selection, Held | None]:
        """The selection, and the loan of its block if it is one: held as long as it is needed.

        Raises:
            OriginUnreachable: no member that could be reached holds it.
            ChecksumMismatch: what came is not what its name says.
        """
        if isinstance(kept, Selection):
            return kept, None
        block = snapshot_block(kept.id, kept.size)
        held = await self._reader.read(Wanted(dataset, block))
        try:
            return await asyncio.to_thread(_decode, held, kept.id), held
        except ChecksumMismatch:
            self._store.discard(block.id)
            held.release()
            raise
        except BaseException:
            held.release()
            raise


def _hash(data: bytes | memoryview) -> str:
    return blake3(data).hexdigest()


def _decode(held: Held, id: str) -> Selection:
    if _hash(held.view) != id:
        raise ChecksumMismatch(f"the list {id[:12]} has other bytes than its name says")
    try:
        return msgspec.msgpack.decode(held.view, type=Selection)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"the list {id[:12]} cannot be read: {error}") from error
