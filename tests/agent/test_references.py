"""Datasets that are origins of others: what is refused, and in which order they are made."""

import pytest

from meshcache.agent.origins.references import check_references, check_unused, in_order
from meshcache.dataset import Dataset, Mount
from meshcache.errors import DatasetBusy, InvalidInput


def dataset(name: str, *references: str, namespaces: tuple[str, ...] = ()) -> Dataset:
    mounts = [Mount(f"dataset://{other}/some/path", f"/{other}") for other in references]
    return Dataset(name, (Mount("s3://bucket"), *mounts), namespaces=namespaces)


def test_a_dataset_may_show_others_and_what_they_show() -> None:
    known = {"b": dataset("b", "c", "d"), "c": dataset("c", "d"), "d": dataset("d")}
    check_references(dataset("a", "b", "c"), known.get)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (dataset("a", "a"), "circle: a -> a"),
        (dataset("a", "b"), "circle: a -> b -> a"),
        (dataset("x", "b"), "circle: x -> b -> a -> b"),
        (dataset("x", "none"), "dataset://none: no such"),
    ],
)
def test_circles_and_unknown_datasets_are_refused(spec: Dataset, says: str) -> None:
    known = {"a": dataset("a", "b"), "b": dataset("b", "a")}
    with pytest.raises(InvalidInput, match=says):
        check_references(spec, known.get)


@pytest.mark.parametrize(
    ("mine", "others", "allowed"),
    [
        ((), (), True),
        (("team-a",), (), True),
        (("team-a",), ("team-a", "team-b"), True),
        ((), ("team-a",), False),
        (("team-a", "team-b"), ("team-a",), False),
    ],
)
def test_no_namespace_sees_through_a_dataset_what_it_may_not_use(
    mine: tuple[str, ...], others: tuple[str, ...], allowed: bool
) -> None:
    known = {"other": dataset("other", namespaces=others)}
    if allowed:
        check_references(dataset("mine", "other", namespaces=mine), known.get)
    else:
        with pytest.raises(InvalidInput, match="namespaces among team-a"):
            check_references(dataset("mine", "other", namespaces=mine), known.get)


def test_a_dataset_that_is_an_origin_is_not_deleted() -> None:
    datasets = [dataset("a", "b"), dataset("b"), dataset("c", "b")]
    with pytest.raises(DatasetBusy, match="'b' is an origin of a, c"):
        check_unused("b", datasets)
    check_unused("a", datasets)


def test_origins_are_made_before_those_that_show_them() -> None:
    datasets = [dataset("a", "b", "c"), dataset("b", "c"), dataset("c"), dataset("d", "elsewhere")]
    assert [each.name for each in in_order(datasets)] == ["c", "b", "a", "d"]
    circle = [dataset("a", "b"), dataset("b", "a")]
    assert sorted(each.name for each in in_order(circle)) == ["a", "b"]
