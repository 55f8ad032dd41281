"""The chart renders to what Kubernetes takes and what the programs in its pods can read."""

import base64
import json
import re
import ssl
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from meshcache.agent.config.sources import load
from meshcache.agent.specs import plan
from meshcache.agent.specs.documents import documents
from meshcache.agent.trust import meshkey
from meshcache.agent.webhook import settings
from tests.helm.charts import (
    CHART,
    PROGRAMS,
    Object,
    helm,
    rendered,
    with_each_example,
    with_each_helm,
)
from tests.webhook.rules import check_pod

FOREIGN = {"ServiceMonitor", "Certificate", "Issuer"}
"""Kinds that are no part of Kubernetes: no schema is at hand."""
OLDEST = {"old-cluster": "1.27"}
VERSIONS = [f"1.{minor}" for minor in range(27, 38)]


@with_each_helm
@with_each_example
def test_helm_finds_nothing_to_complain_of(example: str, program: Path) -> None:
    values = str(CHART / "ci" / f"{example}-values.yaml")
    done = helm("lint", "--strict", str(CHART), "-f", values, program=program)
    assert done.returncode == 0, done.stdout + done.stderr


@with_each_example
def test_both_helms_make_the_same_objects(example: str) -> None:
    def listed(program: Path) -> list[tuple[str, str]]:
        found = rendered(example, program=program)
        return sorted((one["kind"], one["metadata"]["name"]) for one in found)

    assert listed(PROGRAMS[0]) == listed(PROGRAMS[1])


@with_each_example
def test_each_object_fits_its_schema_in_the_oldest_and_the_newest_kubernetes(example: str) -> None:
    for version in (OLDEST.get(example, "1.29"), "1.37"):
        for one in rendered(example, kube=f"{version}.0"):
            if one["kind"] not in FOREIGN:
                kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_defaults_fit_every_version_from_1_27_to_1_37(version: str) -> None:
    for one in rendered("default", kube=f"{version}.0"):
        kubernetes_validate.validate(one, version, strict=True)


@with_each_example
def test_each_pod_is_one_that_kubernetes_takes(example: str) -> None:
    for spec in rendered(example).pod_specs():
        # A StatefulSet's own claims are volumes that its controller adds.
        claims = [
            template["metadata"]["name"]
            for one in rendered(example).workloads()
            for template in one["spec"].get("volumeClaimTemplates", ())
        ]
        named_here = {volume["name"] for volume in spec["volumes"]}
        added = [{"name": name, "emptyDir": {}} for name in claims if name not in named_here]
        whole = {"metadata": {"name": "p"}, "spec": spec | {"volumes": spec["volumes"] + added}}
        check_pod(whole)


@with_each_example
def test_services_and_budgets_select_pods_by_labels_that_these_have(example: str) -> None:
    objects = rendered(example)
    pods = [one["spec"]["template"] for one in objects.workloads()]

    def selected(selector: dict[str, str]) -> list[Object]:
        return [pod for pod in pods if selector.items() <= pod["metadata"]["labels"].items()]

    for service in objects.of_kind("Service"):
        chosen = selected(service["spec"]["selector"])
        assert len(chosen) == 1, service["metadata"]["name"]
        ports = {
            port["name"]
            for container in chosen[0]["spec"]["containers"]
            for port in container.get("ports", ())
        }
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for budget in objects.of_kind("PodDisruptionBudget"):
        assert selected(budget["spec"]["selector"]["matchLabels"])
    for workload in objects.workloads():
        wanted = workload["spec"]["selector"]["matchLabels"].items()
        assert wanted <= workload["spec"]["template"]["metadata"]["labels"].items()


@with_each_example
def test_what_pods_mount_of_this_release_is_there(example: str) -> None:
    objects = rendered(example)
    there = {(one["kind"], one["metadata"]["name"]) for one in objects}
    made = objects.of_kind("Certificate")
    there |= {("Secret", one["spec"]["secretName"]) for one in made}
    accounts = {spec["serviceAccountName"] for spec in objects.pod_specs()}
    assert {("ServiceAccount", name) for name in accounts} <= there
    for spec in objects.pod_specs():
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there
            secret = volume.get("secret", {}).get("secretName", "")
            if secret.startswith("r-meshcache"):
                assert ("Secret", secret) in there


@with_each_example
def test_only_the_cache_folders_owner_is_set_by_root(example: str) -> None:
    for spec in rendered(example).pod_specs():
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in spec["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["limits"]["memory"]
        for container in spec.get("initContainers", ()):
            assert container["command"][0] == "chown"


@with_each_example
def test_the_programs_can_read_their_configuration(example: str, tmp_path: Path) -> None:
    data = rendered(example).named("ConfigMap", "r-meshcache")["data"]
    for name, text in data.items():
        (tmp_path / name).write_text(text)
    config = load(file=tmp_path / "agent.yaml", environ={})
    assert [str(seed) for seed in config.join] == ["r-meshcache-agents.mc.svc:7441"]
    if "webhook.yaml" in data:
        sidecars = settings.load(tmp_path / "webhook.yaml")
        assert sidecars.join == ["r-meshcache-agents.mc.svc:7441"]
        assert sidecars.image == "meshcache:0.1.0"


def test_declared_datasets_and_loads_are_what_agents_can_apply() -> None:
    objects = rendered("declared")
    data = objects.named("ConfigMap", "r-meshcache-declared")["data"]
    made = plan(documents("declared.yaml", data["declared.yaml"]))
    assert (made.errors, made.warnings) == ([], [])
    assert [(one.name, one.namespaces) for one in made.datasets] == [
        ("models", ()),
        ("team-data", ("team-a",)),
    ]
    assert made.datasets[0].mounts[0].secret_options["secret_key"] == "secret:s3-reader/secret-key"
    assert [(one.name, one.targets[0].replicas) for one in made.loads] == [("warm-models", 2)]
    (agents,) = objects.workloads()
    spec = agents["spec"]["template"]["spec"]
    (container,) = (one for one in spec["containers"] if one["name"] == "agent")
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "declared")
    config = objects.config("agent.yaml")
    assert config["apply"] == mount["mountPath"]


def test_without_them_nothing_is_declared() -> None:
    objects = rendered("default")
    assert "apply:" not in objects.named("ConfigMap", "r-meshcache")["data"]["agent.yaml"]
    assert not any(one["metadata"]["name"].endswith("-declared") for one in objects)


def test_the_mesh_key_is_one_and_is_kept() -> None:
    secret = rendered("default").named("Secret", "r-meshcache-key")
    (key,) = meshkey.parse(base64.b64decode(secret["data"]["mesh.key"]))
    assert len(key) == meshkey.KEY_SIZE
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_webhooks_certificate_is_signed_by_what_the_api_server_trusts(tmp_path: Path) -> None:
    from cryptography import x509

    objects = rendered("default")
    data = objects.named("Secret", "r-meshcache-webhook")["data"]
    hook = objects.webhook()
    assert hook["clientConfig"]["caBundle"] == data["ca.crt"]
    service = hook["clientConfig"]["service"]
    assert objects.named("Service", service["name"])["metadata"]["namespace"] == "mc"
    authority, cert = (
        x509.load_pem_x509_certificate(base64.b64decode(data[name]))
        for name in ("ca.crt", "tls.crt")
    )
    cert.verify_directly_issued_by(authority)
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert f"{service['name']}.mc.svc" in names.get_values_for_type(x509.DNSName)
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_bytes(base64.b64decode(data[name]))
    ssl.create_default_context().load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    known = set(re.findall(r"`(meshcache_\w+)`", (CHART / "../../docs/metrics.md").read_text()))
    dashboard = (CHART / "dashboards" / "meshcache.json").read_text()
    asked = set(re.findall(r"meshcache_\w+", dashboard))
    assert asked
    assert asked <= known
    data = rendered("eks").named("ConfigMap", "r-meshcache-dashboard")["data"]
    assert json.loads(data["meshcache.json"])["panels"]


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("webhook.failurePolicy=Maybe", "failurePolicy"),
        ("workload=Deployment", "workload"),
        ("cache.type=claim", "type"),  # a DaemonSet has no claims of its own
        ("agent.cacheSize=plenty", "cacheSize"),
        ("webhok.enabled=false", "webhok"),
        ("webhook.certificate.source=existing", "existing"),
        ("webhook.timeoutSeconds=31", "timeoutSeconds"),
        ("datasets[0].name=models", "spec"),
        ("loads[0].spec.dataset.name=models", "loads"),
    ],
)
@with_each_helm
def test_a_wrong_value_is_named(setting: str, names: str, program: Path) -> None:
    done = helm("template", "r", str(CHART), "--set", setting, program=program)
    assert done.returncode != 0
    assert names in done.stderr


def test_values_are_all_explained_and_known_to_the_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(values) == set(schema["properties"]) - {"global"}
