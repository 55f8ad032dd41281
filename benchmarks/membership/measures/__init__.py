"""One module for each thing that is measured.

Each measures a mesh of a constant number of members and gives a row for each sample. Whom it kills
or lets leave it replaces.
"""

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.membership.measures import (
    events,
    idle,
    kills,
    leaves,
    partitions,
    silences,
    stalls,
    starvation,
)
from benchmarks.membership.mesh import Mesh, Row


class Measure(NamedTuple):
    """One thing."""

    run: Callable[[Mesh, int], list[Row]]
    """Given the mesh and how many samples."""
    samples: int
    """So many unless told otherwise."""


MEASURES = {
    "events": Measure(events.measure, 8),
    "leaves": Measure(leaves.measure, 5),
    "idle": Measure(idle.measure, 1),
    "silences": Measure(silences.measure, 5),
    "kills": Measure(kills.measure, 20),
    "stalls": Measure(stalls.measure, 1),
    "starvation": Measure(starvation.measure, 1),
    "halves": Measure(partitions.halves, 1),
    "one": Measure(partitions.one, 1),
}
"""In the order in which they are done; the start of the mesh is always measured."""
