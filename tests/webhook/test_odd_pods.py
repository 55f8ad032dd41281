"""Odd pods: refused with the reason, warned of, or right."""

import copy
from typing import Any

import pytest

from meshcache.agent.webhook.settings import SidecarSettings
from tests.webhook.reviews import apply, ask
from tests.webhook.rules import check_pod

PRIVILEGED = SidecarSettings()
HTTP = SidecarSettings(mode="none")


def pod(*, annotation: str = "", claim: str = "", **spec: Any) -> dict[str, Any]:
    """A pod that asks for a dataset by the annotation, or by a claim that it sees at /data."""
    app: dict[str, Any] = {"name": "app", "image": "i"}
    volumes = []
    if claim:
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
        app["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "labels": {"meshcache.io/inject": "true"},
            "annotations": {"meshcache.io/datasets": annotation} if annotation else {},
        },
        "spec": {"containers": [app], "volumes": volumes} | spec,
    }


def asked(made: dict[str, Any], settings: SidecarSettings = PRIVILEGED) -> dict[str, Any]:
    request = {"uid": "1", "namespace": "team-a", "object": made}
    return ask({"apiVersion": "admission.k8s.io/v1", "request": request}, settings)


def patched(made: dict[str, Any], settings: SidecarSettings = PRIVILEGED) -> dict[str, Any]:
    response = asked(made, settings)
    assert response["allowed"], response
    after = apply(made, response)
    check_pod(after)
    return after


def refusal(made: dict[str, Any], settings: SidecarSettings = PRIVILEGED) -> str:
    response = asked(made, settings)
    assert not response["allowed"]
    message = response["status"]["message"]
    assert message.startswith("meshcache: ")
    assert "\n" not in message
    return str(message)


def warned(made: dict[str, Any], settings: SidecarSettings = PRIVILEGED) -> list[str]:
    response = asked(made, settings)
    assert response["allowed"]
    return list(response.get("warnings", ()))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (pod(annotation="models:/data,imagenet:/data"), "two datasets at /data"),
        (pod(annotation="models:/data,models:/data"), "two datasets at /data"),
        (pod(annotation="models:/a//b"), "'/a//b' is no place"),
        (pod(annotation="models:/data:rw"), "cannot be read"),
        (pod(claim="models", annotation="imagenet:/data"), "has volume 'data' at /data"),
        (pod(claim="models", os={"name": "windows"}), "Linux"),
        (pod(claim="models", hostUsers=False), "hostUsers"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(made: dict[str, Any], says: str) -> None:
    assert says in refusal(made)


def test_a_path_that_an_init_container_has_is_taken_as_well() -> None:
    made = pod(annotation="models:/data", volumes=[{"name": "own", "emptyDir": {}}])
    mount = {"name": "own", "mountPath": "/data/"}
    made["spec"]["initContainers"] = [{"name": "prepare", "image": "i", "volumeMounts": [mount]}]
    assert "container 'prepare' has volume 'own'" in refusal(made)


def test_a_dataset_is_no_block_device() -> None:
    made = pod(claim="models")
    app = made["spec"]["containers"][0]
    del app["volumeMounts"]
    app["volumeDevices"] = [{"name": "data", "devicePath": "/dev/data"}]
    assert "block device" in refusal(made)


def test_user_namespaces_are_refused_only_where_they_hide_the_mount() -> None:
    assert patched(pod(claim="models", hostUsers=False), HTTP)["spec"]["hostUsers"] is False


def test_a_volume_below_a_dataset_is_warned_of() -> None:
    made = pod(annotation="models:/data", volumes=[{"name": "out", "emptyDir": {}}])
    mounts = [{"name": "out", "mountPath": path} for path in ("/data/out", "/database")]
    made["spec"]["containers"][0]["volumeMounts"] = mounts
    (warning,) = warned(made)
    assert "mounts 'out' at /data/out, within dataset 'models'" in warning
    assert len(warning) < 256


def test_http_on_the_nodes_own_network_is_warned_of() -> None:
    made = pod(claim="models", hostNetwork=True)
    (warning,) = warned(made, HTTP)
    assert "port 17440" in warning
    assert warned(made) == []


def test_the_picture_of_a_nodes_own_pod_is_left_alone() -> None:
    made = pod(annotation="models:/data")
    made["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x"
    response = asked(made)
    assert response["allowed"]
    assert "patch" not in response


def test_names_that_are_taken_are_not_taken_again() -> None:
    made = pod(claim="models")
    made["spec"]["volumes"] += [
        {"name": name, "emptyDir": {}}
        for name in ("meshcache-cache-0", "meshcache-run-4", "meshcache-cache-x")
    ]
    made["spec"]["containers"].append({"name": "meshcache-fuse-2", "image": "i"})
    (sidecar,) = patched(made)["spec"]["initContainers"]
    assert sidecar["name"] == "meshcache-fuse-5"


def test_a_read_only_mount_that_is_so_in_depth_lets_the_data_in() -> None:
    # recursiveReadOnly and mountPropagation exclude each other.
    made = pod(claim="models")
    mount = made["spec"]["containers"][0]["volumeMounts"][0]
    mount |= {"readOnly": True, "recursiveReadOnly": "IfPossible"}
    (after,) = patched(made)["spec"]["containers"][0]["volumeMounts"]
    assert after == {
        "name": "data",
        "mountPath": "/data",
        "readOnly": True,
        "mountPropagation": "HostToContainer",
    }


def test_one_claim_twice_and_one_dataset_at_two_places_are_fine() -> None:
    made = pod(claim="models", annotation="models:/a,models:/b")
    made["spec"]["volumes"].append(
        {"name": "again", "persistentVolumeClaim": {"claimName": "models"}}
    )
    after = patched(made)
    assert len(after["spec"]["initContainers"]) == 4
    assert asked(after).get("patch") is None


@pytest.mark.parametrize("settings", [PRIVILEGED, HTTP], ids=lambda settings: settings.mode)
def test_empty_lists_and_nothing_at_all_are_the_same(settings: SidecarSettings) -> None:
    made = pod(annotation="models:/data", volumes=None, initContainers=None)
    del made["metadata"]["labels"]
    bare = copy.deepcopy(made)
    made["spec"]["containers"][0] |= {"env": None, "volumeMounts": None}
    for field in ("volumes", "initContainers"):
        del bare["spec"][field]
    after = patched(made, settings)["spec"]
    app = after["containers"][0]
    after["containers"][0] = {field: app[field] for field in app if app[field] is not None}
    assert after == patched(bare, settings)["spec"]


def test_a_pod_without_any_metadata_of_its_own_is_let_pass() -> None:
    made = {"kind": "Pod", "metadata": {}, "spec": {"containers": [{"name": "a"}]}}
    assert asked(made) == {"uid": "1", "allowed": True}
