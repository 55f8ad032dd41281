"""What Kubernetes refuses or gets wrong though a schema lets it pass; seen on a real 1.36 node."""

import re
from typing import Any

import kubernetes_validate

VERSIONS = ("1.29", "1.33", "1.37")

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check_pod(pod: dict[str, Any]) -> None:
    """Assert that a pod is one that a real API server takes, and that its sidecars work."""
    complete = {"apiVersion": "v1", "kind": "Pod"} | pod
    for version in VERSIONS:
        kubernetes_validate.validate(complete, version, strict=True)
    spec = pod["spec"]
    inits, apps = spec.get("initContainers") or [], spec.get("containers") or []
    volumes = [volume["name"] for volume in spec.get("volumes") or ()]
    names = [container["name"] for container in (*inits, *apps)]
    assert len(set(volumes)) == len(volumes), volumes
    assert len(set(names)) == len(names), names
    assert apps, "a pod has at least one container"
    for name in (*volumes, *names):
        assert _LABEL.fullmatch(name), name
    for container in (*inits, *apps):
        _check_container(container, set(volumes))
    for container in apps:
        assert container.get("restartPolicy") is None, "only an init container may be a sidecar"


def _check_container(container: dict[str, Any], volumes: set[str]) -> None:
    mounts = container.get("volumeMounts") or []
    paths = [mount["mountPath"] for mount in mounts]
    assert len(set(paths)) == len(paths), (container["name"], paths)
    for mount in mounts:
        assert mount["name"] in volumes, (container["name"], mount)
        if mount.get("mountPropagation") == "Bidirectional":
            security = container.get("securityContext") or {}
            assert security.get("privileged") is True, "Bidirectional only in privileged containers"
