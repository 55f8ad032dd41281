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

needs_helm = pytest.mark.skipif(
    not all(program.exists() for program in PROGRAMS),
    reason="no Helm: .ci/setup gets it, on amd64",
)

Object = dict[str, Any]


def helm(*arguments: str, program: Path = PROGRAMS[-1]) -> subprocess.CompletedProcess[str]:
    """Run Helm to its end."""
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@cache
def rendered(
    example: str, *more: str, kube: str = "1.37.0", program: Path = PROGRAMS[-1]
) -> tuple[Object, ...]:
    """The objects that the chart makes with the values of an example."""
    values = CHART / "ci" / f"{example}-values.yaml"
    done = helm(
        *("template", "r", str(CHART), "-n", "mc", "-f", str(values), "--kube-version", kube),
        *("--api-versions", "monitoring.coreos.com/v1", *more),
        program=program,
    )
    assert done.returncode == 0, done.stderr
    return tuple(one for one in yaml.safe_load_all(done.stdout) if one)


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    (found,) = (one for one in of_kind(objects, kind) if one["metadata"]["name"] == name)
    return found


def webhook_of(objects: tuple[Object, ...]) -> Object:
    """The one webhook of the one configuration."""
    (configuration,) = of_kind(objects, "MutatingWebhookConfiguration")
    (hook,) = configuration["webhooks"]
    found: Object = hook
    return found


def workloads(objects: tuple[Object, ...]) -> list[Object]:
    return of_kind(objects, "DaemonSet", "StatefulSet", "Deployment")


def pod_specs(objects: tuple[Object, ...]) -> list[Object]:
    """The specs of all pods that come of the objects."""
    own = [one["spec"] for one in of_kind(objects, "Pod")]
    return own + [one["spec"]["template"]["spec"] for one in workloads(objects)]
