"""The metrics of loads."""

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from meshcache.agent.loads.record import Phase
from meshcache.agent.metrics.family import Family, Sample, gauge
from meshcache.agent.node import Node
from meshcache.traffic import Source

SOURCES: tuple[Source, ...] = ("peer", "origin")


def _by_phase(node: Node) -> Iterator[Sample]:
    phases = Counter(load.phase for load in node.loads.all())
    for phase in get_args(Phase):
        yield (phase,), phases[phase]


LOADS = (
    Family(
        "meshcache_loads",
        GaugeMetricFamily,
        ("phase",),
        "Loads of the mesh by phase: the same at every member.",
        _by_phase,
    ),
    gauge(
        "loads_running",
        "Loads whose share this member is working on.",
        lambda node: node.loads.running,
    ),
    Family(
        "meshcache_load_bytes",
        CounterMetricFamily,
        ("source",),
        "Bytes that loads had to fetch on this member, from a peer or from the origin.",
        lambda node: [
            ((source,), node.reader.accounts.loaded_from[source]) for source in ("peer", "origin")
        ],
    ),
)
