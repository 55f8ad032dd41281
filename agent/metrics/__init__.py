"""The metrics: every name, with its unit and meaning, in one table (docs/metrics.md shows it).

The parts of an agent count for themselves; a scrape reads their counters. So counting costs the
data path nothing but an addition, and there is one truth.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from meshcache import __version__
from meshcache.agent.metrics.datasets import DATASETS
from meshcache.agent.metrics.family import Family, Sample, counter, gauge
from meshcache.agent.metrics.gossip import GOSSIP
from meshcache.agent.metrics.loads import LOADS
from meshcache.agent.node import Node

SOURCES = ("store", "peer", "origin")


def _worker_deaths(node: Node) -> Iterable[Sample]:
    deaths: Counter[tuple[str, ...]] = Counter()
    for mount in node.mounts.all():  # given descriptors may all be called /dev/fd/3
        deaths[mount.dataset, mount.mountpoint] += mount.workers.restarts
    return list(deaths.items())


FAMILIES = (
    Family(
        "meshcache_info",
        GaugeMetricFamily,
        ("version", "role", "zone"),
        "1, with the agent's version, role and zone.",
        lambda node: [((__version__, node.config.role, node.config.zone), 1)],
    ),
    gauge("ready", "1 from the agent's ready line until it leaves.", lambda node: node.ready),
    gauge(
        "datasets",
        "Datasets that this member knows.",
        lambda node: len(node.catalog.names()),
    ),
    gauge(
        "store_quota_bytes",
        "Bytes that the store may take.",
        lambda node: node.store.quota,
    ),
    gauge(
        "store_used_bytes",
        "Bytes that the store takes, reserved and lent ones included.",
        lambda node: node.store.used,
    ),
    gauge("store_blocks", "Blocks in the store.", lambda node: node.store.blocks),
    counter(
        "store_evictions",
        "Blocks that made room for others.",
        lambda node: node.store.evictions,
    ),
    counter(
        "store_corrupt",
        "Blocks thrown away because they did not have their checksums.",
        lambda node: node.store.corrupt,
    ),
    Family(
        "meshcache_read_bytes",
        CounterMetricFamily,
        ("source",),
        "Bytes that this node's reads found in its store, at a peer, or at the origin.",
        lambda node: [((source,), node.reader.accounts.bytes_from[source]) for source in SOURCES],
    ),
    counter(
        "served_bytes",
        "Bytes of blocks that this member gave to peers.",
        lambda node: node.served.bytes,
    ),
    counter(
        "sent_on",
        "Peers that this member has sent to another one, to which it was giving the same block.",
        lambda node: node.served.sent_on,
    ),
    gauge(
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
    gauge(
        "mounts",
        "Mounts that are registered with this agent.",
        lambda node: len(node.mounts.all()),
    ),
    Family(
        "meshcache_mount_worker_deaths",
        CounterMetricFamily,
        ("dataset", "mountpoint"),
        "Workers of a mount that died and were replaced.",
        _worker_deaths,
    ),
    gauge(
        "mounts_slowed",
        "Mounts whose workers die again and again, so that the next one waits.",
        lambda node: sum(mount.workers.state == "slowed" for mount in node.mounts.all()),
    ),
    *DATASETS,
    *LOADS,
    *GOSSIP,
)


class _NodeCollector(Collector):
    def __init__(self, node: Node, names: bool) -> None:
        self._node = node
        self._names = names

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            if self._names or "dataset" not in family.labels:
                yield family.collect(self._node)


def render(node: Node, *, names: bool) -> tuple[bytes, str]:
    """The metrics as Prometheus reads them, and the content type.

    Args:
        names: those too that have the names of datasets.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_NodeCollector(node, names))
    return generate_latest(registry), CONTENT_TYPE_LATEST
