"""The metrics of each dataset: what the mesh holds of it, and what its readers were given.

Those of the whole mesh are the same on every member; ask one, or take the maximum.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from meshcache.agent.held.reads import Reads
from meshcache.agent.metrics.family import Family, Sample
from meshcache.agent.node import Node
from meshcache.dataset import Dataset, Head
from meshcache.traffic import Traffic


def _heads(node: Node) -> Iterator[tuple[Dataset, Head]]:
    for dataset in node.catalog.all():
        head = node.catalog.head(dataset.name)
        if head is not None:
            yield dataset, head


def _total(node: Node) -> Iterator[Sample]:
    for dataset, head in _heads(node):
        yield (dataset.name,), head.bytes


def _cached(node: Node) -> Iterator[Sample]:
    for dataset, head in _heads(node):
        cached = node.holdings.census.cached(dataset, head)
        if cached is not None:
            yield (dataset.name,), cached


def _used(node: Node) -> Iterator[Sample]:
    capacity = node.mesh.capacity
    for dataset, head in _heads(node):
        shares = node.holdings.census.shares(dataset, head)
        if shares is not None and capacity:
            yield (dataset.name,), sum(shares.values()) / capacity


def _hits(node: Node) -> Iterator[Sample]:
    for dataset in node.catalog.all():
        ratio = Reads.of(node.holdings.census.traffic(dataset.uid)).hit_ratio
        if ratio is not None:
            yield (dataset.name,), ratio


def _own(count: Callable[[Traffic], int]) -> Callable[[Node], Iterable[Sample]]:
    return lambda node: [
        ((name,), count(own)) for name, own in list(node.reader.accounts.traffic.items())
    ]


def _reads(node: Node) -> Iterator[Sample]:
    for name, traffic in list(node.reader.accounts.traffic.items()):
        yield (name, "store"), traffic.store
        yield (name, "peer"), traffic.peer
        yield (name, "origin"), traffic.origin


def _gauge(name: str, text: str, read: Callable[[Node], Iterable[Sample]]) -> Family:
    return Family(f"meshcache_dataset_{name}", GaugeMetricFamily, ("dataset",), text, read)


def _counter(name: str, text: str, read: Callable[[Node], Iterable[Sample]]) -> Family:
    return Family(f"meshcache_dataset_{name}", CounterMetricFamily, ("dataset",), text, read)


DATASETS = (
    _gauge("total_bytes", "Bytes of the dataset's files at the origin.", _total),
    _gauge(
        "cached_bytes",
        "Bytes of its blocks that at least one living member of the mesh holds.",
        _cached,
    ),
    _gauge(
        "used_ratio",
        "Share of the mesh's capacity that its blocks take, copies included: the sum over the "
        "datasets is Fluid's capacity_used_rate, 0 to 1.",
        _used,
    ),
    _gauge(
        "hit_ratio",
        "Share of the bytes that readers of the whole mesh were given which was found in it, since "
        "its members started; absent before a read.",
        _hits,
    ),
    Family(
        "meshcache_dataset_read_bytes",
        CounterMetricFamily,
        ("dataset", "source"),
        "Bytes that this node's readers found in its store, at a peer, or at the origin.",
        _reads,
    ),
    _counter(
        "given_bytes",
        "Bytes that other members' readers had out of this one's store.",
        _own(lambda traffic: traffic.given),
    ),
    _counter(
        "missed_bytes",
        "Bytes that readers here or at other members had only after this one asked the origin: the "
        "rate is the miss throughput.",
        _own(lambda traffic: traffic.origin + traffic.missed),
    ),
    _counter(
        "origin_bytes",
        "Bytes that this member asked of the origin, for readers as well as by loads.",
        _own(lambda traffic: traffic.fetched),
    ),
)
