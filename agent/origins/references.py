"""Datasets whose origins are other datasets: ``dataset://NAME/PATH``."""

from collections.abc import Callable, Iterable

from meshcache.dataset import Dataset
from meshcache.errors import DatasetBusy, InvalidInput


def check_references(dataset: Dataset, lookup: Callable[[str], Dataset | None]) -> None:
    """Let pass a dataset whose origins are datasets that there are, without a circle.

    Args:
        dataset: the record, made or to be made.
        lookup: gives the record of a name.

    Raises:
        InvalidInput: an origin is no dataset there is, leads back to where it came from, or may
            be used by fewer namespaces than this one.
    """
    _visit(dataset, lookup, (dataset.name,))


def _visit(
    dataset: Dataset, lookup: Callable[[str], Dataset | None], trail: tuple[str, ...]
) -> None:
    for name in dataset.references():
        if name in trail:
            circle = " -> ".join((*trail, name))
            raise InvalidInput(f"datasets are origins of each other in a circle: {circle}")
        other = lookup(name)
        if other is None:
            raise InvalidInput(f"dataset {dataset.name!r} has the origin dataset://{name}: no such")
        if other.namespaces and not set(dataset.namespaces or ("",)) <= set(other.namespaces):
            raise InvalidInput(
                f"dataset {dataset.name!r} would show dataset {name!r} to namespaces that may not "
                f"use it: give it namespaces among {', '.join(other.namespaces)}"
            )
        _visit(other, lookup, (*trail, name))


def check_unused(name: str, datasets: Iterable[Dataset]) -> None:
    """Let pass a name that is no dataset's origin.

    Raises:
        DatasetBusy: it is one.
    """
    users = [dataset.name for dataset in datasets if name in dataset.references()]
    if users:
        raise DatasetBusy(f"dataset {name!r} is an origin of {', '.join(users)}: delete that first")


def in_order(datasets: Iterable[Dataset]) -> list[Dataset]:
    """The same, each behind those that are its origins; circles as they come."""
    by_name = {dataset.name: dataset for dataset in datasets}
    ordered: dict[str, Dataset] = {}

    def place(dataset: Dataset, trail: tuple[str, ...]) -> None:
        for name in dataset.references():
            if name in by_name and name not in trail:
                place(by_name[name], (*trail, name))
        ordered.setdefault(dataset.name, dataset)

    for dataset in by_name.values():
        place(dataset, (dataset.name,))
    return list(ordered.values())
