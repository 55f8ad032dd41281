"""What sidecars are in each mode of privilege and each lifecycle."""

import pytest

from meshcache.agent.webhook.names import INJECTED
from meshcache.agent.webhook.settings import SidecarSettings
from tests.webhook.reviews import NAMES, mounts, patched, sidecars
from tests.webhook.rules import check_pod

CSI = {
    "csi": {
        "driver": "fuse.example",
        "volumeAttributes": {"name": "{dataset}", "socket": "{socket}"},
    }
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lifecycle", ["native", "classic"])
@pytest.mark.parametrize("mode", ["privileged", "platform", "fd", "none"])
def test_the_patched_pod_is_one_that_kubernetes_takes(name: str, lifecycle: str, mode: str) -> None:
    settings = SidecarSettings.model_validate(
        {"lifecycle": lifecycle, "mode": mode, "fd-volume": CSI if mode == "fd" else {}}
    )
    check_pod(patched(name, settings))


@pytest.mark.parametrize("mode", ["privileged", "platform", "none"])
def test_a_classic_sidecar_is_the_first_ordinary_container_and_ends_with_the_others(
    mode: str,
) -> None:
    settings = SidecarSettings.model_validate({"lifecycle": "classic", "mode": mode})
    pod = patched("job-single", settings)
    assert not sidecars(pod)
    first = pod["spec"]["containers"][0]
    assert first["name"] == "meshcache-fuse-0"
    assert "restartPolicy" not in first
    assert "--until-alone=3" in first["args"]
    assert pod["spec"]["shareProcessNamespace"] is True


@pytest.mark.parametrize("mode", ["fd", "none"])
def test_an_unprivileged_sidecar_fits_the_level_restricted(mode: str) -> None:
    settings = SidecarSettings.model_validate({"mode": mode, "fd-volume": CSI})
    pod = patched("job-single", settings)
    (sidecar,) = sidecars(pod)
    security = sidecar["securityContext"]
    assert "privileged" not in security
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] != 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert all("hostPath" not in volume for volume in pod["spec"]["volumes"])


def test_without_fuse_the_app_is_told_where_to_read() -> None:
    pod = patched("job-single", SidecarSettings.model_validate({"mode": "none"}))
    (sidecar,) = sidecars(pod)
    assert sidecar["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    variables = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    url = variables["MESHCACHE_URL_MODELS"]
    assert url == "http://127.0.0.1:17440/v1/datasets/models/files"
    assert "--listen=127.0.0.1:17440" in sidecar["args"]


def test_a_platforms_own_fields_are_put_on_the_sidecar_and_the_pod() -> None:
    settings = SidecarSettings.model_validate(
        {
            "mode": "platform",
            "env": {"ECI_CONTAINER_TYPE": "sidecar"},
            "annotations": {"vendor.example/fuse": "on"},
            "container": {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
        }
    )
    pod = patched("deployment-eci-serving", settings)
    (sidecar,) = sidecars(pod)
    assert {"name": "ECI_CONTAINER_TYPE", "value": "sidecar"} in sidecar["env"]
    assert sidecar["securityContext"] == {"capabilities": {"add": ["SYS_ADMIN"]}}
    assert pod["metadata"]["annotations"]["vendor.example/fuse"] == "on"
    assert all("mountPropagation" not in one for one in sidecar["volumeMounts"])


def test_a_sidecar_without_privilege_is_handed_the_device_by_the_platforms_driver() -> None:
    settings = SidecarSettings.model_validate({"mode": "fd", "fd-volume": CSI})
    pod = patched("job-single", settings)
    (sidecar,) = sidecars(pod)
    assert sidecar["securityContext"]["runAsNonRoot"] is True
    assert "--fd-socket=/run/meshcache/fd.sock" in sidecar["args"]
    app = pod["spec"]["containers"][0]["name"]
    volume = pod["metadata"]["annotations"][INJECTED].split("=")[0]
    (source,) = (one["csi"] for one in pod["spec"]["volumes"] if one["name"] == volume)
    assert source["volumeAttributes"] == {"name": "models", "socket": "/run/meshcache/fd.sock"}
    assert "mountPropagation" not in mounts(pod, app)["/data"]
