"""The origins a node has open are those of the datasets there are."""

from pathlib import Path

import msgspec
import pytest

from meshcache.agent.origins import Origins
from meshcache.agent.snapshots import OpenSnapshot
from meshcache.dataset import Dataset, Mount
from meshcache.errors import OriginUnreachable
from meshcache.origin import Origin
from meshcache.secrets import SecretSource


def no_snapshots(dataset: str) -> Origin:
    raise AssertionError(dataset)


async def no_datasets(name: str) -> tuple[Dataset, OpenSnapshot]:
    raise AssertionError(name)


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
    origins = Origins(
        nowhere, {"kept": kept, "deleted": deleted}.__getitem__, no_snapshots, no_datasets
    )
    (one,), (two,) = origins.of(kept), origins.of(deleted)
    assert (await names(one), await names(two)) == (["file"], ["file"])
    await origins.retain([kept])
    assert await names(one) == ["file"]
    with pytest.raises(OriginUnreachable):
        await names(two)
    await origins.close()


async def test_a_changed_dataset_has_new_origins_and_who_reads_the_old_ones_ends_in_peace(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x")
    before = Dataset("data", (Mount(tmp_path.as_uri()),), uid="1")
    after = msgspec.structs.replace(before, generation=2)
    nowhere = SecretSource(roots=None, env=None, file_roots=None)
    origins = Origins(nowhere, {"data": after}.__getitem__, no_snapshots, no_datasets)
    (old,), (new,) = origins.of(before), origins.of(after)
    under_way = old.list()
    found = [(await anext(under_way)).path]
    await origins.retain([after])
    found += [listed.path async for listed in under_way]
    assert sorted(found) == ["a", "b"]
    with pytest.raises(OriginUnreachable, match="changed"):
        await names(old)
    assert sorted(await names(new)) == ["a", "b"]
    await origins.close()


def test_options_of_a_mount_win_over_those_of_its_dataset() -> None:
    dataset = Dataset(
        "data",
        (
            Mount("s3://bucket/a", "/a"),
            Mount("s3://bucket/b", "/b", options={"endpoint": "http://there"}),
        ),
        options={"endpoint": "http://here"},
    )
    nowhere = SecretSource(roots=None, env=None, file_roots=None)
    origins = Origins(nowhere, {"data": dataset}.__getitem__, no_snapshots, no_datasets)
    assert [origin.identity for origin in origins.of(dataset)] == [
        "s3+http://here/bucket",
        "s3+http://there/bucket",
    ]
