"""The example of autoscaling is of the right shape and names metrics that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.core import CounterMetricFamily

import meshcache
from meshcache.agent.metrics import FAMILIES

assert meshcache.__file__ is not None
EXAMPLES = Path(meshcache.__file__).parents[1] / "examples" / "autoscaling"
RULES, HPA = EXAMPLES / "prometheus-adapter-rules.yaml", EXAMPLES / "hpa.yaml"

pytestmark = pytest.mark.skipif(
    not EXAMPLES.exists(), reason="the examples are not beside an installed package"
)


def loaded(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def test_every_metric_that_a_rule_asks_for_exists() -> None:
    known = {f.name + "_total" * (f.kind is CounterMetricFamily) for f in FAMILIES}
    asked = set(re.findall(r"meshcache_\w+", RULES.read_text()))
    assert asked
    assert asked <= known


def test_every_rule_makes_a_metric_for_a_kubernetes_object() -> None:
    for rule in loaded(RULES)["rules"]["custom"]:
        assert rule.keys() == {"seriesQuery", "resources", "name", "metricsQuery"}
        assert "<<.LabelMatchers>>" in rule["metricsQuery"]
        assert "<<.GroupBy>>" in rule["metricsQuery"]
        for label, target in rule["resources"]["overrides"].items():
            assert target == {"resource": label}
            assert f'{label}!=""' in rule["seriesQuery"]


def test_the_autoscaler_follows_the_metrics_that_the_rules_make() -> None:
    hpa = loaded(HPA)
    assert (hpa["apiVersion"], hpa["kind"]) == ("autoscaling/v2", "HorizontalPodAutoscaler")
    spec = hpa["spec"]
    assert spec["minReplicas"] <= spec["maxReplicas"]
    assert spec["scaleTargetRef"].keys() == {"apiVersion", "kind", "name"}
    made = {rule["name"]["as"] for rule in loaded(RULES)["rules"]["custom"]}
    followed = set()
    for metric in spec["metrics"]:
        assert metric["type"] == "Object"
        assert metric["object"].keys() == {"metric", "describedObject", "target"}
        assert metric["object"]["describedObject"]["kind"] == "Service"
        assert int(metric["object"]["target"]["value"]) > 0
        followed.add(metric["object"]["metric"]["name"])
    assert followed == made
