"""What a metric is: a name, a kind, labels, a meaning, and how a scrape reads it."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from meshcache.agent.node import Node


class Buckets(NamedTuple):
    """One histogram."""

    counts: list[tuple[str, float]]
    """(upper bound, how many were not above it), growing; the last bound is ``+Inf``."""
    total: float
    """Sum of what was counted."""


Sample = tuple[tuple[str, ...], float]
Kind = type[CounterMetricFamily] | type[GaugeMetricFamily]


class Family(NamedTuple):
    """One metric."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    read: Callable[[Node], Iterable[Sample]]

    def collect(self, node: Node) -> Metric:
        """The metric as it is now."""
        metric = self.kind(self.name, self.help, labels=self.labels)
        for labels, value in self.read(node):
            metric.add_metric(labels, value)
        return metric


class Histogram(NamedTuple):
    """A metric that is a histogram without labels."""

    name: str
    help: str
    read: Callable[[Node], Buckets]
    kind: type[HistogramMetricFamily] = HistogramMetricFamily
    labels: tuple[str, ...] = ()

    def collect(self, node: Node) -> Metric:
        """The metric as it is now."""
        metric = HistogramMetricFamily(self.name, self.help)
        counts, total = self.read(node)
        metric.add_metric((), counts, total)
        return metric


def one(value: Callable[[Node], float]) -> Callable[[Node], Iterable[Sample]]:
    """A single sample without labels."""
    return lambda node: [((), value(node))]


def gauge(name: str, text: str, value: Callable[[Node], float]) -> Family:
    """What goes up and down."""
    return Family(f"meshcache_{name}", GaugeMetricFamily, (), text, one(value))


def counter(name: str, text: str, value: Callable[[Node], float]) -> Family:
    """What only grows."""
    return Family(f"meshcache_{name}", CounterMetricFamily, (), text, one(value))
