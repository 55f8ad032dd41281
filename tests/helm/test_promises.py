"""What the chart promises to whoever runs a cluster, in the objects that it makes."""

import base64
import json
from typing import Any

import pytest

from meshcache.agent.trust import metricstoken
from tests.helm.charts import CHART, helm, rendered, with_each_example, with_each_helm


@pytest.mark.parametrize("example", ["default", "aliyun", "aks", "eks", "vci"])
def test_nothing_of_it_runs_on_virtual_nodes(example: str) -> None:
    for workload in rendered(example, "--set", "webhook.placement=deployment").workloads():
        affinity = workload["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        virtual = {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]}
        assert virtual in term["matchExpressions"]


def test_the_seeds_are_a_name_for_every_agent_ready_or_not() -> None:
    service = rendered("default").named("Service", "r-meshcache-agents")["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    stateful = rendered("gke").named("StatefulSet", "r-meshcache")["spec"]
    assert stateful["serviceName"] == "r-meshcache-agents"


def test_no_single_pod_answers_for_the_webhook() -> None:
    # Beside every agent; or by several pods, apart from each other, of which one may be away.
    agents = rendered("default").named("DaemonSet", "r-meshcache")["spec"]["template"]
    names = [one["name"] for one in agents["spec"]["containers"]]
    assert names == ["agent", "webhook"]
    objects = rendered("gke")
    own = objects.named("Deployment", "r-meshcache-webhook")["spec"]
    assert own["replicas"] == 2
    (spread,) = own["template"]["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    budget = objects.named("PodDisruptionBudget", "r-meshcache-webhook")["spec"]
    assert budget["maxUnavailable"] == 1


@with_each_example
def test_nothing_of_it_may_do_anything_at_the_api_server(example: str) -> None:
    objects = rendered(example)
    rights = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    assert not objects.of_kind(*rights)
    for spec in objects.pod_specs():
        assert spec["automountServiceAccountToken"] is False


RESTRICTED_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
"""Of those that the level allows, the ones that are used here."""


@with_each_example
def test_without_a_host_path_its_pods_fit_the_level_restricted(example: str) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/
    for spec in rendered(example).pod_specs():
        kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        if "hostPath" in kinds:
            continue
        assert kinds <= RESTRICTED_VOLUMES
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_webhook_is_asked_about_new_pods_of_any_version_and_waited_for_in_bounds() -> None:
    hook = rendered("default").webhook()
    assert hook["matchPolicy"] == "Equivalent"
    assert hook["sideEffects"] == "None"
    assert hook["reinvocationPolicy"] == "IfNeeded"
    assert hook["failurePolicy"] == "Fail"
    assert hook["timeoutSeconds"] == 10
    assert hook["admissionReviewVersions"] == ["v1"]
    (rule,) = hook["rules"]
    assert rule["operations"] == ["CREATE"]
    assert rule["resources"] == ["pods"]
    assert rendered("gke").webhook()["failurePolicy"] == "Ignore"


def test_the_network_policy_lets_in_guests_prometheus_the_api_server_and_nobody_else() -> None:
    (policy,) = rendered("gke").of_kind("NetworkPolicy")
    agents, scrapers, server = policy["spec"]["ingress"]
    assert [port["port"] for port in agents["ports"]] == ["http", "gossip"]
    assert {"namespaceSelector": {}} in agents["from"]
    (monitoring,) = (one["namespaceSelector"]["matchLabels"] for one in scrapers["from"])
    assert monitoring == {"kubernetes.io/metadata.name": "monitoring"}
    assert scrapers["ports"] == [{"port": "http"}]
    assert server["ports"] == [{"port": "webhook"}]
    assert server["from"] == [{"ipBlock": {"cidr": "172.16.0.0/28"}}]
    nobody = json.dumps({"enabled": True, "guestsFrom": []})
    objects = rendered("default", "--set-json", f"networkPolicy={nobody}")
    (policy,) = objects.of_kind("NetworkPolicy")
    agents, server = policy["spec"]["ingress"]
    (members,) = agents["from"]
    assert members["podSelector"] == policy["spec"]["podSelector"]
    assert server == {"ports": [{"port": "webhook"}]}


def test_the_webhook_knows_the_authority_of_the_api_servers_certificate() -> None:
    (agents,) = rendered("existing-cert").workloads()
    spec = agents["spec"]["template"]["spec"]
    (webhook,) = (one for one in spec["containers"] if one["name"] == "webhook")
    (mount,) = (one for one in webhook["volumeMounts"] if one["name"] == "webhook-client-ca")
    assert f"--client-ca={mount['mountPath']}/ca.crt" in webhook["args"]
    (volume,) = (one for one in spec["volumes"] if one["name"] == "webhook-client-ca")
    assert volume["secret"]["secretName"] == "api-server-ca"


@pytest.mark.parametrize(
    ("flags", "trusts"),
    [
        ((), False),
        (("--set", "webhook.trustCallers=true"), True),
        (("--set", "networkPolicy.apiServerFrom[0].ipBlock.cidr=172.16.0.0/28"), False),
        (
            (
                *("--set", "networkPolicy.apiServerFrom[0].ipBlock.cidr=172.16.0.0/28"),
                *("--set", "networkPolicy.enabled=true"),
            ),
            True,
        ),
    ],
)
def test_the_webhook_trusts_its_callers_only_where_the_network_keeps_others_off(
    flags: tuple[str, ...], trusts: bool
) -> None:
    (agents,) = rendered("default", *flags).workloads()
    containers = agents["spec"]["template"]["spec"]["containers"]
    (webhook,) = (one for one in containers if one["name"] == "webhook")
    assert ("--trust-callers" in webhook["args"]) is trusts


def test_prometheus_has_the_token_that_the_agents_know() -> None:
    objects = rendered("eks", "--set", "webhook.placement=deployment")
    (monitor,) = objects.of_kind("ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    credentials = endpoint["authorization"]["credentials"]
    token = objects.named("Secret", credentials["name"])["data"][credentials["key"]]
    assert len(base64.b64decode(token)) >= metricstoken.MIN_SIZE
    config = objects.config("agent.yaml")
    for spec in (workload["spec"]["template"]["spec"] for workload in objects.workloads()):
        (agent,) = (one for one in spec["containers"] if one["name"] == "agent")
        (mount,) = (one for one in agent["volumeMounts"] if one["name"] == "metrics")
        assert config["metrics-token-file"] == f"{mount['mountPath']}/{credentials['key']}"
        (volume,) = (one for one in spec["volumes"] if one["name"] == "metrics")
        assert volume["secret"]["secretName"] == credentials["name"]


def test_a_certificate_by_cert_manager_comes_from_it_alone() -> None:
    objects = rendered("cert-manager")
    assert not [one for one in objects.of_kind("Secret") if "tls" in one.get("type", "")]
    assert "caBundle" not in objects.webhook()["clientConfig"]
    (configuration,) = objects.of_kind("MutatingWebhookConfiguration")
    annotations = configuration["metadata"]["annotations"]
    assert annotations["cert-manager.io/inject-ca-from"] == "mc/r-meshcache-webhook"
    (certificate,) = objects.of_kind("Certificate")
    assert "r-meshcache-webhook.mc.svc" in certificate["spec"]["dnsNames"]


def test_the_probes_ask_whether_it_is_ready_and_whether_it_lives() -> None:
    for container in rendered("default").pod_specs()[-1]["containers"]:
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_what_the_operator_wants_of_scheduling_is_taken() -> None:
    objects = rendered("eks", "--set", "webhook.placement=deployment")
    for workload in objects.workloads():
        spec = workload["spec"]["template"]["spec"]
        assert spec["priorityClassName"] == "system-node-critical"
        assert spec["tolerations"][0]["key"] == "nvidia.com/gpu"
    update = objects.named("DaemonSet", "r-meshcache")["spec"]["updateStrategy"]
    assert update["rollingUpdate"]["maxUnavailable"] == 1


@pytest.mark.parametrize(
    ("kube", "lifecycle"),
    [("1.27.0", "classic"), ("1.28.9-eks-1", "classic"), ("1.29.0", "native")],
)
def test_sidecars_are_native_where_there_is_that(kube: str, lifecycle: str) -> None:
    assert rendered("default", kube=kube).config("webhook.yaml")["lifecycle"] == lifecycle


def test_helm_test_asks_an_agent_and_the_notes_say_how_to_go_on() -> None:
    (test,) = rendered("default").of_kind("Pod")
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert test["spec"]["containers"][0]["args"][0] == "members"
    done = helm("install", "r", str(CHART), "-n", "mc", "--dry-run=client")
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert "meshcache.io/datasets: models:/data" in notes


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (("webhook.sidecar.mode=fd",), "fdVolume"),
        (("webhook.sidecar.lifecycle=native", "--kube-version", "1.28.0"), "needs Kubernetes 1.29"),
        (("agent.config.listen=:1",), "listen is the chart's own to set"),
        (("fullnameOverride=Upper_Case",), "fullnameOverride"),
        (("priorityClassName=a: b",), "priorityClassName"),
        (("image.repository=a b",), "repository"),
        (("agent.secrets={a,a}",), "secrets"),
    ],
)
@with_each_helm
def test_what_could_not_run_is_refused_with_the_reason(
    settings: tuple[str, ...], says: str, program: Any
) -> None:
    done = helm("template", "r", str(CHART), "--set", *settings, program=program)
    assert done.returncode != 0
    assert says in done.stderr


@pytest.mark.parametrize(
    "setting",
    [
        "affinity=null",
        "resources=null",
        "webhook.excludeNamespaces=null",
        "cache.hostPath=/a b: c",
        "workload=StatefulSet,affinity=null",
    ],
)
def test_values_that_are_taken_away_or_odd_make_objects_all_the_same(setting: str) -> None:
    objects = rendered("default", "--set", setting)
    assert objects.workloads()
