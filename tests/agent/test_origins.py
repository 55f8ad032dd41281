"""The origins a node has open are those of the datasets there are."""

from pathlib import Path

import pytest

from meshcache.agent.origins import Origins
from meshcache.dataset import Dataset, Mount
from meshcache.errors import OriginUnreachable
from meshcache.origin import Origin
from meshcache.secrets import SecretSource


def no_snapshots(dataset: str) -> Origin:
    raise AssertionError(dataset)


async def names(origin: Origin) -> list[str]:
    return [listed.path async for listed in origin.list()]


async def test_the_origins_of_a_deleted_dataset_are_closed_and_the_others_are_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    kept, deleted = (
        Dataset(name, (Mount(tmp_path.as_uri()),), uid=name) for name in ("kept", "deleted")
    )
    nowhere = SecretSource(roots=None, env=None, file_roots=None)
    origins = Origins(nowhere, {"kept": kept, "deleted": deleted}.__getitem__, no_snapshots)
    (one,), (two,) = origins.of(kept), origins.of(deleted)
    assert (await names(one), await names(two)) == (["file"], ["file"])
    await origins.retain(["kept"])
    assert await names(one) == ["file"]
    with pytest.raises(OriginUnreachable):
        await names(two)
    await origins.close()
