"""What the webhook makes of pods that a real API server asked it about."""

from pathlib import Path

import pytest
import yaml

from meshcache.agent.webhook.names import INJECTED
from meshcache.agent.webhook.review import Allowed
from tests.webhook.reviews import (
    ALLOWED,
    NAMES,
    apply,
    ask,
    container,
    mounts,
    patched,
    review,
    sidecars,
)
from tests.webhook.rules import check_pod

ROOT = Path(__file__).resolve().parents[2]
UNTOUCHED = {"no-dataset-pvc", "opt-out"}
SERVED = {
    "annotation-only": ["imagenet", "models"],
    "deployment-eci-serving": ["serverless-data"],
    "two-datasets": ["imagenet", "models"],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_second_pass_changes_nothing(name: str) -> None:
    asked = review(name)
    asked["request"]["object"] = patched(name)
    assert "patch" not in ask(asked)


@pytest.mark.parametrize("name", sorted(UNTOUCHED))
def test_a_pod_without_a_dataset_or_that_refuses_is_let_pass_as_it_is(name: str) -> None:
    response = ask(review(name))
    assert response["allowed"]
    assert "patch" not in response


@pytest.mark.parametrize("name", sorted(set(NAMES) - UNTOUCHED))
def test_each_dataset_gets_one_sidecar_before_all_init_containers(name: str) -> None:
    pod = patched(name)
    expected = SERVED.get(name, ["models"])
    first = pod["spec"]["initContainers"][: len(expected)]
    assert [one["name"] for one in first] == [f"meshcache-fuse-{n}" for n in range(len(expected))]
    assert [one["args"][-2] for one in first] == expected
    assert len(sidecars(pod)) == len(expected)
    for one in first:
        assert one["restartPolicy"] == "Always"
        assert one["args"][:2] == ["mount", "--guest"]
        assert one["args"][-1] in one["startupProbe"]["exec"]["command"]


@pytest.mark.parametrize("name", sorted(set(NAMES) - UNTOUCHED))
def test_nothing_of_the_users_pod_is_lost(name: str) -> None:
    before, after = review(name)["request"]["object"], patched(name)
    for group in ("initContainers", "containers"):
        for one in before["spec"].get(group) or ():
            now = container(after, one["name"])
            for field in set(one) - {"volumeMounts"}:
                assert now[field] == one[field]
            assert {mount["mountPath"] for mount in one.get("volumeMounts") or ()} <= {
                mount["mountPath"] for mount in now["volumeMounts"]
            }
    kept = set(before["spec"]) - {"volumes", "initContainers", "containers"}
    assert all(after["spec"][field] == before["spec"][field] for field in kept)
    own = [one for one in before["spec"]["volumes"] if "persistentVolumeClaim" not in one]
    assert all(one in after["spec"]["volumes"] for one in own)
    assert (before["metadata"].get("annotations") or {}).items() <= after["metadata"][
        "annotations"
    ].items()
    assert after["metadata"]["labels"] == before["metadata"]["labels"]


def test_the_claims_volume_is_replaced_and_its_mounts_let_the_data_in() -> None:
    pod = patched("job-single")
    claims = [one for one in pod["spec"]["volumes"] if "persistentVolumeClaim" in one]
    assert not claims
    app = pod["spec"]["containers"][0]
    data = next(mount for mount in app["volumeMounts"] if mount["mountPath"] == "/data")
    assert data["mountPropagation"] == "HostToContainer"
    (sidecar,) = sidecars(pod)
    (served,) = (one for one in sidecar["volumeMounts"] if one["name"] == data["name"])
    assert served["mountPropagation"] == "Bidirectional"
    assert served["mountPath"] == sidecar["args"][-1]
    assert pod["metadata"]["annotations"][INJECTED] == f"{data['name']}=models"


def test_a_mounted_volume_is_none_that_the_kubelet_measures_as_disk() -> None:
    # It would find the dataset there, and evict the pod for its size.
    pod = patched("two-datasets")
    sources = {one["name"]: one.get("emptyDir") for one in pod["spec"]["volumes"]}
    for sidecar in sidecars(pod):
        for mount in sidecar["volumeMounts"]:
            shared = mount.get("mountPropagation") == "Bidirectional"
            assert (sources[mount["name"]] == {"medium": "Memory"}) == shared


def test_a_sidecar_finds_the_volumes_of_the_one_before_it_in_a_volume_that_is_its_own() -> None:
    pod = patched("two-datasets")
    for number, sidecar in enumerate(sidecars(pod)):
        assert "--reach=/run/meshcache" in sidecar["args"]
        (own,) = (m for m in sidecar["volumeMounts"] if m["mountPath"] == "/run/meshcache")
        assert own == {
            "name": f"meshcache-run-{number}",
            "mountPath": "/run/meshcache",
            "mountPropagation": "Bidirectional",
        }


def test_a_claim_that_is_no_dataset_is_left_alone() -> None:
    pod = patched("statefulset-with-own-pvc")
    (own,) = (one for one in pod["spec"]["volumes"] if "persistentVolumeClaim" in one)
    assert own["persistentVolumeClaim"]["claimName"] == "state-vector-db-0"
    assert len(sidecars(pod)) == 1


def test_init_containers_that_read_the_data_see_it() -> None:
    pod = patched("init-reads-data")
    assert [one["name"] for one in pod["spec"]["initContainers"]] == [
        "meshcache-fuse-0",
        "check-manifest",
    ]
    assert mounts(pod, "check-manifest")["/data"]["mountPropagation"] == "HostToContainer"


def test_a_folder_of_a_dataset_is_shown_by_a_volume_of_its_own() -> None:
    pod = patched("two-datasets")
    train = mounts(pod, "trainer")["/train"]
    assert "subPath" not in train
    assert train["mountPropagation"] == "HostToContainer"
    imagenet = sidecars(pod)[0]
    assert f"--bind=train=/meshcache/{train['name']}" in imagenet["args"]
    assert {"name": train["name"], "emptyDir": {"medium": "Memory"}} in pod["spec"]["volumes"]


def test_an_app_of_an_unprivileged_user_stays_one() -> None:
    pod = patched("non-root")
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container(pod, "embedder")["securityContext"]["readOnlyRootFilesystem"] is True
    (sidecar,) = sidecars(pod)
    assert sidecar["securityContext"]["runAsNonRoot"] is False


def test_other_native_sidecars_start_after_ours() -> None:
    names = [one["name"] for one in patched("native-sidecar-present")["spec"]["initContainers"]]
    assert names == ["meshcache-fuse-0", "log-shipper"]


def test_an_annotation_alone_shows_datasets_in_every_container() -> None:
    places = mounts(patched("annotation-only"), "notebook")
    assert {"/data", "/train"} <= places.keys()
    assert places["/train"]["readOnly"] is True


def test_a_container_that_another_webhook_adds_afterwards_sees_the_data_too() -> None:
    asked = review("job-single")
    pod = asked["request"]["object"] = patched("job-single")
    volume = next(iter(pod["metadata"]["annotations"][INJECTED].split("=")))
    late = {
        "name": "late",
        "image": "busybox",
        "volumeMounts": [{"name": volume, "mountPath": "/late"}],
    }
    pod["spec"]["containers"].append(late)
    again = apply(pod, ask(asked))
    assert mounts(again, "late")["/late"]["mountPropagation"] == "HostToContainer"
    assert len(sidecars(again)) == 1


def test_an_unknown_dataset_in_the_annotation_is_refused_with_the_reason() -> None:
    asked = review("annotation-only")
    asked["request"]["object"]["metadata"]["annotations"]["meshcache.io/datasets"] = "nope:/data"
    response = ask(asked)
    assert not response["allowed"]
    assert "no dataset 'nope'" in response["status"]["message"]


@pytest.mark.parametrize("text", ["models", "models:data", "models:/", "models:/a/../b", ":/x"])
def test_an_annotation_that_cannot_be_read_is_refused(text: str) -> None:
    asked = review("annotation-only")
    asked["request"]["object"]["metadata"]["annotations"]["meshcache.io/datasets"] = text
    response = ask(asked)
    assert not response["allowed"]
    assert "meshcache.io/datasets" in response["status"]["message"]


def test_a_path_that_is_taken_is_refused() -> None:
    asked = review("annotation-only")
    pod = asked["request"]["object"]
    pod["spec"]["containers"][0]["volumeMounts"].append(
        {"name": pod["spec"]["volumes"][0]["name"], "mountPath": "/data"}
    )
    response = ask(asked)
    assert not response["allowed"]
    assert "/data" in response["status"]["message"]


def test_a_dataset_of_another_namespace_is_refused() -> None:
    allowed = Allowed(ALLOWED.names, lambda name: ("team-b",), callers_known=True)
    response = ask(review("deployment-meshcache-label"), allowed=allowed)
    assert not response["allowed"]
    assert response["status"]["code"] == 403
    assert "team-a" in response["status"]["message"]


def test_a_dataset_for_some_namespaces_is_given_only_where_the_caller_is_known() -> None:
    asked = review("deployment-meshcache-label")
    for known in (False, True):
        allowed = Allowed(ALLOWED.names, lambda name: ("team-a",), callers_known=known)
        response = ask(asked, allowed=allowed)
        assert response["allowed"] is known
        assert ("patch" in response) is known
        if not known:
            assert "--trust-callers" in response["status"]["message"]


def test_the_examples_job_gets_its_dataset() -> None:
    template = yaml.safe_load((ROOT / "examples" / "job.yaml").read_text())["spec"]["template"]
    metadata = {"name": "read-models-x", "namespace": "default"} | template["metadata"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    asked = {"uid": "1", "namespace": "default", "object": pod}
    response = ask({"apiVersion": "admission.k8s.io/v1", "request": asked})
    served = apply(pod, response)
    check_pod(served)
    assert mounts(served, "read")["/data"]["mountPropagation"] == "HostToContainer"
