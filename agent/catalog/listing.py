"""Making a snapshot of what the origins of a dataset have now."""

import asyncio
import time
from collections.abc import Callable

import structlog

from meshcache.agent.origins import Origins
from meshcache.agent.snapshots import Snapshots
from meshcache.dataset import Dataset, Head
from meshcache.origin import Origin
from meshcache.snapshot import Builder, Skipped

log = structlog.get_logger()


class Listing:
    """Lists origins. What it gives is no dataset's head until somebody publishes it, and a listing
    that fails gives nothing."""

    def __init__(
        self,
        snapshots: Snapshots,
        origins: Origins,
        *,
        member: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`member` is this agent's name: it stands in the heads that it makes."""
        self._snapshots = snapshots
        self._origins = origins
        self._member = member
        self._now = now

    async def list_dataset(self, dataset: Dataset) -> Head:
        """List a dataset that is a record.

        Raises:
            OriginError: an origin could not be listed to its end.
        """
        return await self._list(dataset, self._origins.of(dataset))

    async def list_unkept(self, dataset: Dataset) -> Head:
        """List one that is not, or not yet."""
        origins = self._origins.open_unkept(dataset)
        try:
            return await self._list(dataset, origins)
        finally:
            for origin in origins:
                await origin.close()

    async def _list(self, dataset: Dataset, origins: list[Origin]) -> Head:
        # As of now: what changes while it is listed may be missed.
        began = self._now()
        builder = Builder(
            (mount.path, origin.identity)
            for mount, origin in zip(dataset.mounts, origins, strict=True)
        )
        for index, origin in enumerate(origins):
            async for listed in origin.list():
                builder.add(index, listed)
        data = await asyncio.to_thread(builder.build)
        snapshot = (await self._snapshots.keep(data)).snapshot
        if builder.skipped.count:
            _tell_skipped(dataset.name, builder.skipped)
        return Head(
            dataset_uid=dataset.uid,
            snapshot=snapshot.id,
            snapshot_size=len(data),
            files=snapshot.files,
            bytes=snapshot.bytes,
            skipped=builder.skipped.count,
            listed=began,
            lister=self._member,
        )


def _tell_skipped(dataset: str, skipped: Skipped) -> None:
    log.warning(
        "keys that are no paths were skipped",
        dataset=dataset,
        count=skipped.count,
        reasons=dict(skipped.reasons),
        examples=[key for key, _ in skipped.keys()[:20]],
    )
