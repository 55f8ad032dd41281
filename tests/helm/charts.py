"""The chart, rendered by Helm itself."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "helm" / "meshcache"
PROGRAMS = [Path(sys.prefix) / name for name in ("helm3", "helm4")]
EXAMPLES = sorted(path.name.removesuffix("-values.yaml") for path in CHART.glob("ci/*.yaml"))

with_each_helm = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
with_each_example = pytest.mark.parametrize("example", EXAMPLES)

Object = dict[str, Any]


class Manifests(tuple[Object, ...]):
    """The objects that the chart makes."""

    def of_kind(self, *kinds: str) -> list[Object]:
        return [one for one in self if one["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object:
        (found,) = (one for one in self.of_kind(kind) if one["metadata"]["name"] == name)
        return found

    def config(self, name: str) -> Any:
        """One of the files that the programs in the pods read."""
        return yaml.safe_load(self.named("ConfigMap", "r-meshcache")["data"][name])

    def webhook(self) -> Object:
        """The one webhook of the one configuration."""
        (configuration,) = self.of_kind("MutatingWebhookConfiguration")
        (hook,) = configuration["webhooks"]
        found: Object = hook
        return found

    def workloads(self) -> list[Object]:
        return self.of_kind("DaemonSet", "StatefulSet", "Deployment")

    def pod_specs(self) -> list[Object]:
        """The specs of all pods that come of the objects."""
        own = [one["spec"] for one in self.of_kind("Pod")]
        return own + [one["spec"]["template"]["spec"] for one in self.workloads()]


def helm(*arguments: str, program: Path = PROGRAMS[-1]) -> subprocess.CompletedProcess[str]:
    """Run Helm to its end."""
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@cache
def rendered(
    example: str, *more: str, kube: str = "1.37.0", program: Path = PROGRAMS[-1]
) -> Manifests:
    """What the chart makes with the values of an example."""
    values = CHART / "ci" / f"{example}-values.yaml"
    done = helm(
        *("template", "r", str(CHART), "-n", "mc", "-f", str(values), "--kube-version", kube),
        *("--api-versions", "monitoring.coreos.com/v1", *more),
        program=program,
    )
    assert done.returncode == 0, done.stderr
    return Manifests(one for one in yaml.safe_load_all(done.stdout) if one)
