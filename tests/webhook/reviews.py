"""AdmissionReviews as a Kubernetes 1.36.2 API server sent them to a mutating webhook (only white
space was changed). In them `models`, `imagenet` and `serverless-data` are datasets."""

import base64
import copy
import json
from pathlib import Path
from typing import Any

from meshcache.agent.webhook.review import Allowed, answer, read
from meshcache.agent.webhook.settings import SidecarSettings

FOLDER = Path(__file__).parent / "recorded"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
DATASETS = ("models", "imagenet", "serverless-data")
ALLOWED = Allowed(lambda name: name in DATASETS, lambda name: (), callers_known=False)


def review(name: str) -> dict[str, Any]:
    """A recorded review."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def key_for(dataset: str) -> str:
    return f"key-of-{dataset}"


def ask(
    asked: dict[str, Any],
    settings: SidecarSettings | None = None,
    allowed: Allowed = ALLOWED,
) -> dict[str, Any]:
    """The response to a review."""
    body = json.dumps(asked).encode()
    said = answer(read(body), settings or SidecarSettings(), allowed, key_for)
    assert said["apiVersion"] == "admission.k8s.io/v1"
    assert said["response"]["uid"] == asked["request"]["uid"]
    response: dict[str, Any] = said["response"]
    return response


def apply(pod: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    """The pod after the response's patch, by RFC 6902 (as an independent library reads it)."""
    import jsonpatch

    if "patch" not in response:
        return pod
    assert response["patchType"] == "JSONPatch"
    patch = json.loads(base64.b64decode(response["patch"]))
    patched: dict[str, Any] = jsonpatch.apply_patch(copy.deepcopy(pod), patch)
    return patched


def patched(name: str, settings: SidecarSettings | None = None) -> dict[str, Any]:
    asked = review(name)
    response = ask(asked, settings)
    assert response["allowed"], response
    return apply(asked["request"]["object"], response)


def sidecars(pod: dict[str, Any], group: str = "initContainers") -> list[dict[str, Any]]:
    containers = pod["spec"].get(group) or []
    return [one for one in containers if one["name"].startswith("meshcache-fuse-")]


def container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    spec = pod["spec"]
    both = (*(spec.get("initContainers") or ()), *spec["containers"])
    return next(one for one in both if one["name"] == name)


def mounts(pod: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    return {mount["mountPath"]: mount for mount in container(pod, name)["volumeMounts"]}
