"""What members read of datasets: whatever changes, and no more of it decoded than has changed."""

from typing import cast

import msgspec
import pytest

from meshcache.agent.catalog import DATASETS, HEADS, Entries
from meshcache.agent.mesh.space import Space
from meshcache.dataset import Dataset, Head
from meshcache.errors import DatasetNotFound
from meshcache.gossip import Gossip, ReplicatedMap
from tests.catalog.fakes import DATASET, Clock, FakeGossip, FakeMap

encode = msgspec.msgpack.encode


def named(name: str) -> Dataset:
    return msgspec.structs.replace(DATASET, name=name)


def test_only_what_changed_is_decoded() -> None:
    map_ = FakeMap(Clock())
    space = Space(cast("ReplicatedMap", map_), DATASETS, Dataset)
    assert not space.all()
    for name in ("b", "a", "c"):
        map_.put(DATASETS, name, encode(named(name)))
    before = dict(space.all())
    assert list(before) == ["a", "b", "c"]
    map_.put(DATASETS, "b", encode(msgspec.structs.replace(named("b"), generation=2)))
    map_.delete(DATASETS, "c")
    map_.put(HEADS, "a", b"another namespace")
    after = space.all()
    assert list(after) == ["a", "b"]
    assert after["a"] is before["a"]
    assert (space.find("b"), space.find("c")) == (after["b"], None)
    assert after["b"].generation == 2
    map_.put(DATASETS, "c", encode(named("c")))
    assert space.find("c") == named("c")


def test_a_record_that_this_version_cannot_read_is_there_and_said_to_be_unreadable() -> None:
    gossip = FakeGossip(Clock())
    entries = Entries(cast("Gossip", gossip))
    gossip.map.put(DATASETS, "new", b"of a later version")
    entries.add(named("old"))
    assert [dataset.name for dataset in entries.all()] == ["old"]
    assert entries.has("new")
    with pytest.raises(DatasetNotFound, match="cannot be read"):
        entries.get("new")
    with pytest.raises(DatasetNotFound, match="no dataset"):
        entries.get("neither")


def test_a_head_counts_for_the_dataset_that_it_was_made_of_alone() -> None:
    entries = Entries(cast("Gossip", FakeGossip(Clock())))
    entries.add(named("data"))
    head = Head("u1", "ab" * 32, 100, 1, 1)
    entries.publish("data", head)
    assert entries.head("data") == head
    assert [version.name for version in entries.history("data").versions] == ["ab" * 32]
    entries.replace(named("data"), msgspec.structs.replace(named("data"), uid="u2"))
    assert entries.head("data") is None
    assert not entries.history("data").versions
