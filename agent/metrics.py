"""The metrics: every name, with its unit and meaning, in one table (docs/metrics.md shows it).

The parts of an agent count for themselves; a scrape reads their counters. So counting costs the
data path nothing but an addition, and there is one truth.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from meshcache import __version__
from meshcache.agent.node import Node

Sample = tuple[tuple[str, ...], float]

SOURCES = ("store", "peer", "origin")


class Family(NamedTuple):
    """One metric."""

    name: str
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily]
    labels: tuple[str, ...]
    help: str
    read: Callable[[Node], Iterable[Sample]]


def _one(value: Callable[[Node], float]) -> Callable[[Node], Iterable[Sample]]:
    return lambda node: [((), value(node))]


def _gauge(name: str, text: str, value: Callable[[Node], float]) -> Family:
    return Family(f"meshcache_{name}", GaugeMetricFamily, (), text, _one(value))


def _counter(name: str, text: str, value: Callable[[Node], float]) -> Family:
    return Family(f"meshcache_{name}", CounterMetricFamily, (), text, _one(value))


def _members(node: Node) -> Iterator[Sample]:
    states = [peer.state for peer in node.mesh.peers()]
    for state in ("alive", "suspect", "failed", "left"):
        yield (state,), states.count(state)


FAMILIES = (
    Family(
        "meshcache_info",
        GaugeMetricFamily,
        ("version", "role", "zone"),
        "1, with the agent's version, role and zone.",
        lambda node: [((__version__, node.config.role, node.config.zone), 1)],
    ),
    _gauge("ready", "1 from the agent's ready line until it leaves.", lambda node: node.ready),
    Family(
        "meshcache_members",
        GaugeMetricFamily,
        ("state",),
        "Members of the mesh as this one sees them, itself included.",
        _members,
    ),
    _gauge(
        "datasets",
        "Datasets that this member knows.",
        lambda node: len(node.catalog.names()),
    ),
    _gauge(
        "store_quota_bytes",
        "Bytes that the store may take.",
        lambda node: node.store.quota,
    ),
    _gauge(
        "store_used_bytes",
        "Bytes that the store takes, reserved and lent ones included.",
        lambda node: node.store.used,
    ),
    _gauge("store_blocks", "Blocks in the store.", lambda node: node.store.blocks),
    _counter(
        "store_evictions",
        "Blocks that made room for others.",
        lambda node: node.store.evictions,
    ),
    _counter(
        "store_corrupt",
        "Blocks thrown away because they did not have their checksums.",
        lambda node: node.store.corrupt,
    ),
    Family(
        "meshcache_read_bytes",
        CounterMetricFamily,
        ("source",),
        "Bytes that this node's reads found in its store, at a peer, or at the origin.",
        lambda node: [((source,), node.reader.bytes_from[source]) for source in SOURCES],
    ),
    _counter(
        "served_bytes",
        "Bytes of blocks that this member gave to peers.",
        lambda node: node.served.bytes,
    ),
    _gauge(
        "serving",
        "Blocks that this member is giving to peers at the moment.",
        lambda node: node.served.under_way,
    ),
    Family(
        "meshcache_read_fallbacks",
        CounterMetricFamily,
        ("reason",),
        "Times a source could not serve and the next one was asked, by the reason.",
        lambda node: [((reason,), count) for reason, count in node.reader.steps.items()],
    ),
    _gauge(
        "mounts",
        "Mounts that are registered with this agent.",
        lambda node: len(node.mounts.all()),
    ),
    Family(
        "meshcache_gossip",
        CounterMetricFamily,
        ("event",),
        "What gossip counts of itself, by name.",
        lambda node: [((name,), value) for name, value in node.gossip.stats().items()],
    ),
)


class _NodeCollector(Collector):
    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            metric = family.kind(family.name, family.help, labels=family.labels)
            for labels, value in family.read(self._node):
                metric.add_metric(labels, value)
            yield metric


def render(node: Node) -> tuple[bytes, str]:
    """The metrics as Prometheus reads them, and the content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_NodeCollector(node))
    return generate_latest(registry), CONTENT_TYPE_LATEST
