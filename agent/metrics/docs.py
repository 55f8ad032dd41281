"""docs/metrics.md, made from the table of metrics: ``python -m meshcache.agent.metrics.docs``.

A test compares the file with what this makes, so the two cannot differ.
"""

import sys

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from meshcache.agent.metrics import FAMILIES
from meshcache.agent.metrics.family import Family, Histogram

_HEAD = """\
# Metrics

<!-- Made by `python -m meshcache.agent.metrics.docs > docs/metrics.md`. Do not edit. -->

`GET /metrics` of every agent, in Prometheus' text format. Sizes are bytes. Counters begin at 0 when
the agent starts; Prometheus shows them with `_total` at the end.

Who asks without proof has no metric with the label `dataset`: whoever reaches the port, a tenant's
pod say, would learn the names of all datasets. They are for scrapers that send `Authorization:
Bearer TOKEN` with the token of [`--metrics-token-file`](configuration.md#metrics-token-file) (a
wrong one is refused, so the target is seen to be down), for holders of the mesh key, and over the
agent's socket:

```sh
curl --unix-socket /run/meshcache/agent.sock http://agent/metrics
```

An agent that listens on loopback alone shows them to all who ask. The Helm chart makes a token and
gives it to its ServiceMonitor.

| name | kind | labels | meaning |
|---|---|---|---|
"""


def render() -> str:
    """The page."""
    return _HEAD + "".join(map(_row, FAMILIES))


_KINDS = {
    CounterMetricFamily: "counter",
    GaugeMetricFamily: "gauge",
    HistogramMetricFamily: "histogram",
}


def _row(family: Family | Histogram) -> str:
    kind = _KINDS[family.kind]
    name = f"{family.name}_total" if kind == "counter" else family.name
    labels = ", ".join(f"`{label}`" for label in family.labels) or "-"
    return f"| `{name}` | {kind} | {labels} | {family.help} |\n"


if __name__ == "__main__":
    sys.stdout.write(render())
