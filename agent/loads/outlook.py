"""How things are, as this member sees them: the mesh, the datasets, the run that counts."""

from collections.abc import Callable, Mapping

from meshcache.agent.catalog import Catalog
from meshcache.agent.loads.book import Book
from meshcache.agent.loads.phase import Present, Run, Subject, run_of
from meshcache.agent.loads.record import Load, Report
from meshcache.agent.mesh import MeshView
from meshcache.dataset import Dataset
from meshcache.errors import DatasetNotFound

GONE_AFTER = 3.0
"""Seconds without a dataset's record after which it counts as deleted: a member that has just
joined may know a load a moment before it knows the load's dataset."""


class Outlook:
    """What a load's phase and shares are computed from."""

    def __init__(
        self, book: Book, catalog: Catalog, mesh: MeshView, now: Callable[[], float]
    ) -> None:
        self._book = book
        self._catalog = catalog
        self._mesh = mesh
        self._now = now
        self._missing: dict[str, float] = {}
        """Load's uid -> since when its dataset is missing."""

    def present(self) -> Present:
        """The mesh."""
        mesh = self._mesh
        return Present(mesh.by_store, frozenset(mesh.placement.store_ids), mesh.view)

    def run(self, load: Load, reports: Mapping[str, Report], now: float) -> Run:
        """The run of a load that counts now; `reports` are by store id."""
        awaited = self._book.loads().get(load.run_after) if load.run_after else None
        begun = (
            one.run for report in reports.values() for one in report.loads if one.uid == load.uid
        )
        return run_of(load, awaited, begun, now)

    def subject(self, load: Load) -> tuple[Subject, Dataset | None]:
        """What a load works on, and the dataset's record."""
        try:
            dataset = self._catalog.get(load.dataset)
        except DatasetNotFound:
            dataset = None
        if dataset is None or dataset.uid != load.dataset_uid:
            since = self._missing.setdefault(load.uid, self._now())
            gone = self._now() - since >= GONE_AFTER
            return Subject(problem=f"dataset {load.dataset!r} was deleted" if gone else ""), None
        self._missing.pop(load.uid, None)
        head = self._catalog.head(load.dataset)
        if load.snapshot:
            snapshot, size = load.snapshot, load.snapshot_size
        elif head is not None:
            snapshot, size = head.snapshot, head.snapshot_size
        else:
            snapshot, size = "", 0
        return Subject(snapshot, size, dataset.generation), dataset

    def awaits_dataset(self, load: Load) -> bool:
        """Whether the load's dataset is missing: it may be deleted, or still to be heard of."""
        return load.uid in self._missing
