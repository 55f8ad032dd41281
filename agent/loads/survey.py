"""What a load would do, and what it left undone: asked of every living member, not guessed."""

import asyncio
from collections.abc import Iterator, Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from meshcache.agent.held.exact import Bitmap, held_here, unpack
from meshcache.agent.loads.phase import Present
from meshcache.agent.loads.record import Load
from meshcache.agent.loads.selection import Selected
from meshcache.agent.loads.share import Chunk, chunks, owners
from meshcache.agent.mesh import MeshView, Peer
from meshcache.agent.mesh.peers import PeerClient
from meshcache.agent.snapshots import OpenSnapshot
from meshcache.dataset import Dataset
from meshcache.errors import MeshcacheError
from meshcache.placement import Placement
from meshcache.store import Store

ASK_TIMEOUT = 30.0
"""Seconds that a member has to say what it holds."""

MAX_LACKING = 1000
"""Files that are named; the rest is counted."""


class MemberPlan(msgspec.Struct):
    """What one member would do; sizes in bytes."""

    name: str
    zone: str
    blocks: int = 0
    """Of its share."""
    bytes: int = 0
    to_fetch: int = 0
    """Bytes of its share that it lacks."""
    room: int = 0
    """Bytes that it can take: what is free, and what would be evicted that is not of the load."""
    fits: bool = True
    answers: bool = True
    """Whether it said what it holds; if not, it is taken to hold nothing and to have room."""


class Plan(msgspec.Struct):
    """What a load would do."""

    dataset: str
    files: int
    blocks: int
    bytes: int
    to_fetch: int
    """Bytes that all members together lack of their shares."""
    from_origin: int
    """Bytes that no living member holds."""
    fits: bool
    members: list[MemberPlan]


class Lacking(msgspec.Struct):
    """A file that is not wholly loaded."""

    path: str
    bytes: int
    """Of the blocks that are lacking."""


class Check(msgspec.Struct):
    """What of a load is loaded now."""

    dataset: str
    complete: bool
    files: int
    files_lacking: int
    blocks: int
    blocks_done: int
    bytes: int
    bytes_done: int
    percentage: float
    lacking: list[Lacking]
    """The first of the files that lack something."""


class _Store(msgspec.Struct):
    quota: int
    used: int
    evictable: int = 0


class _Status(msgspec.Struct):
    store: _Store


class _Holding(msgspec.Struct):
    """What a member holds of the snapshot, and how its store is; None: it did not say."""

    bitmap: Bitmap | None
    store: _Store | None


class Survey:
    """Asks the members."""

    def __init__(self, store: Store, mesh: MeshView, client: PeerClient) -> None:
        self._store = store
        self._mesh = mesh
        self._client = client

    async def plan(
        self,
        load: Load,
        dataset: Dataset,
        opened: OpenSnapshot,
        selected: Selected,
        present: Present,
    ) -> Plan:
        """What the load would do."""
        holdings = await self._holdings(dataset, opened, present)
        placement = self._mesh.placement
        return await asyncio.to_thread(
            _plan, load, dataset, opened, selected, present, placement, holdings
        )

    async def check(
        self,
        load: Load,
        dataset: Dataset,
        opened: OpenSnapshot,
        selected: Selected,
        present: Present,
    ) -> Check:
        """What of it is loaded: every block at as many living members as it says (one, if it says
        nothing), and at each member that it names."""
        holdings = await self._holdings(dataset, opened, present)
        return await asyncio.to_thread(_check, load, dataset, opened, selected, present, holdings)

    async def _holdings(
        self, dataset: Dataset, opened: OpenSnapshot, present: Present
    ) -> dict[str, _Holding]:
        stores = [store for store, peer in present.members.items() if peer.state == "alive"]
        answers = await asyncio.gather(
            *(self._holding(present.members[store], dataset, opened) for store in stores)
        )
        return dict(zip(stores, answers, strict=True))

    async def _holding(self, peer: Peer, dataset: Dataset, opened: OpenSnapshot) -> _Holding:
        if peer.store_id == self._mesh.me:
            store = self._store
            return _Holding(
                await held_here(opened, store, dataset.block_size),
                _Store(store.quota, store.used, store.evictable),
            )
        target = f"/v1/datasets/{dataset.name}/held?snapshot={opened.snapshot.id}"
        blocks = int(opened.snapshot.block_starts(dataset.block_size)[-1])
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                bitmap = unpack(await self._client.get(peer, target), blocks)
                status = await self._client.get(peer, "/v1/status")
                return _Holding(bitmap, msgspec.json.decode(status, type=_Status).store)
        except (MeshcacheError, TimeoutError, msgspec.MsgspecError):
            return _Holding(None, None)


class _Part(msgspec.Struct):
    """A chunk, and for each of its blocks the ordinal in the dataset and the bytes."""

    chunk: Chunk
    ordinals: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]


def _parts(
    opened: OpenSnapshot, selected: Selected, dataset: Dataset, replicas: int
) -> Iterator[_Part]:
    starts = opened.snapshot.block_starts(dataset.block_size)
    for chunk in chunks(opened.snapshot, selected, dataset.block_size, replicas):
        yield _Part(chunk, starts[chunk.rows] + chunk.index, chunk.lengths)


def _held(holding: _Holding | None, part: _Part) -> npt.NDArray[np.bool_]:
    if holding is None or holding.bitmap is None:
        return np.zeros(len(part.ordinals), dtype=np.bool_)
    held: npt.NDArray[np.bool_] = holding.bitmap[part.ordinals]
    return held


def _plan(
    load: Load,
    dataset: Dataset,
    opened: OpenSnapshot,
    selected: Selected,
    present: Present,
    placement: Placement,
    holdings: Mapping[str, _Holding],
) -> Plan:
    targets = present.targets(load)
    plans = {
        store: MemberPlan(present.members[store].name, present.members[store].zone)
        for store in targets
    }
    held_of_load = dict.fromkeys(targets, 0)
    blocks = from_origin = 0
    for part in _parts(opened, selected, dataset, load.replicas or dataset.replicas):
        blocks += len(part.ordinals)
        anywhere = np.zeros(len(part.ordinals), dtype=np.bool_)
        for holding in holdings.values():
            anywhere |= _held(holding, part)
        from_origin += int(part.lengths[~anywhere].sum())
        fetches = owners(placement, part.chunk)
        for store, plan in plans.items():
            if present.takes_all(load, present.members[store]):
                share = np.ones(len(part.ordinals), dtype=np.bool_)
            else:
                share = fetches[:, placement.store_ids.index(store)]
            held = share & _held(holdings.get(store), part)
            plan.blocks += int(share.sum())
            plan.bytes += int(part.lengths[share].sum())
            plan.to_fetch += int(part.lengths[share & ~held].sum())
            held_of_load[store] += int(part.lengths[held].sum())
    for store, plan in plans.items():
        has = holdings[store].store if store in holdings else None
        plan.answers = has is not None
        if has is not None:
            plan.room = max(0, has.quota - has.used + has.evictable - held_of_load[store])
            plan.fits = plan.to_fetch <= plan.room
    ordered = sorted(plans.values(), key=lambda plan: plan.name)
    return Plan(
        dataset=dataset.name,
        files=len(selected.rows),
        blocks=blocks,
        bytes=selected.size,
        to_fetch=sum(plan.to_fetch for plan in ordered),
        from_origin=from_origin,
        fits=all(plan.fits for plan in ordered),
        members=ordered,
    )


def _check(
    load: Load,
    dataset: Dataset,
    opened: OpenSnapshot,
    selected: Selected,
    present: Present,
    holdings: Mapping[str, _Holding],
) -> Check:
    named = [s for s, peer in present.members.items() if present.takes_all(load, peer)]
    blocks = done = bytes_done = 0
    lacking: dict[int, int] = {}
    for part in _parts(opened, selected, dataset, load.replicas or 1):
        copies = np.zeros(len(part.ordinals), dtype=np.int64)
        for holding in holdings.values():
            copies += _held(holding, part)
        fine = copies >= np.minimum(part.chunk.replicas, max(1, len(present.owners)))
        for store in named:
            fine &= _held(holdings.get(store), part)
        blocks += len(fine)
        done += int(fine.sum())
        bytes_done += int(part.lengths[fine].sum())
        for at in np.flatnonzero(~fine).tolist():
            row = int(part.chunk.rows[at])
            lacking[row] = lacking.get(row, 0) + int(part.lengths[at])
    first = [
        Lacking(opened.snapshot.path(row), size)
        for row, size in list(lacking.items())[:MAX_LACKING]
    ]
    return Check(
        dataset=dataset.name,
        complete=not lacking,
        files=len(selected.rows),
        files_lacking=len(lacking),
        blocks=blocks,
        blocks_done=done,
        bytes=selected.size,
        bytes_done=bytes_done,
        percentage=100.0 * bytes_done / selected.size if selected.size else 100.0,
        lacking=first,
    )
