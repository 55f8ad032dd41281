"""Dataset records: what cannot be is refused where it is made, and they fit the replicated map."""

from typing import Any

import msgspec
import pytest

from meshcache.dataset import MAX_RECORD, Dataset, Head, Mount
from meshcache.errors import InvalidInput

MOUNTS = (Mount("s3://bucket/prefix"),)


def test_a_dataset_is_read_back_from_the_wire() -> None:
    dataset = Dataset("a.b-1", MOUNTS, uid="x", options={"region": "eu"}, replicas=2)
    for codec in (msgspec.msgpack, msgspec.json):
        assert codec.decode(codec.encode(dataset), type=Dataset) == dataset
    head = Head("uid", "ab" * 32, 1000, 5, 1 << 40)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(head), type=Head) == head


def test_a_record_of_an_older_version_is_read() -> None:
    old = {"name": "a", "mounts": [{"url": "s3://bucket/prefix", "path": "/"}], "uid": "x"}
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Dataset)
    assert read == Dataset("a", MOUNTS, uid="x")
    assert (read.policy, read.generation, read.mounts[0].options) == ("immutable", 1, {})


def test_an_ordinary_dataset_fits_into_a_record() -> None:
    mounts = tuple(Mount(f"s3://bucket-{n}/a/long/prefix", f"/data/{n}") for n in range(10))
    dataset = Dataset("d" * 63, mounts, options={"endpoint": "https://s3.example.com"})
    assert len(msgspec.msgpack.encode(dataset)) < MAX_RECORD


@pytest.mark.parametrize("name", ["a", "imagenet", "a.b", "a-b", "0", "x" * 63])
def test_dns_names_are_dataset_names(name: str) -> None:
    assert Dataset(name, MOUNTS).name == name


@pytest.mark.parametrize(
    "name", ["", "A", "a_b", "-a", "a-", ".a", "a/b", "..", "x" * 64, "a b", "a\n", "ä"]
)
def test_what_is_no_dns_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a dataset name"):
        Dataset(name, MOUNTS)


@pytest.mark.parametrize("path", ["", "a", "//", "/a//b", "/a/../b", "/.", "/a/."])
def test_a_mount_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="is not a mount path"):
        Dataset("a", (Mount("s3://b", path),))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mounts": ()}, "no origin"),
        ({"mounts": (Mount("s3://a"), Mount("s3://b"))}, "two mounts at one path"),
        ({"replicas": 0}, "replicas"),
        ({"replicas": 17}, "replicas"),
        ({"block_size": 5}, "power of two"),
        ({"policy": "never"}, "no policy: there are immutable, ttl, check-on-open"),
        ({"policy": "ttl"}, "needs a ttl over 0"),
        ({"ttl": 5.0}, "no other policy has one"),
        ({"policy": "ttl", "ttl": float("nan")}, "from 0 to 100 years"),
        ({"refresh_every": -1.0}, "from 0 to 100 years"),
    ],
)
def test_a_dataset_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Dataset(**{"name": "a", "mounts": MOUNTS, **fields})


def test_a_dataset_of_a_version_refers_to_the_dataset() -> None:
    mounts = (Mount("dataset://a@12ab/x"), Mount("dataset://a", "/now"), Mount("dataset://b", "/b"))
    dataset = Dataset("c", mounts)
    assert dataset.mounts[0].reference == ("a@12ab", "x")
    assert dataset.references() == ["a", "b"]


@pytest.mark.parametrize("name", ["", "@12ab", "a@", "a@12a", "a@head", "a@12AB", "A", "a@12ab@1"])
def test_an_origin_that_names_no_dataset_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="names no dataset"):
        Dataset("c", (Mount(f"dataset://{name}/x"),))
