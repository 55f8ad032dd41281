"""Releases as Helm itself makes, changes and ends them, at a fake API server: what is kept."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.helm import apiserver
from tests.helm.apiserver import Cluster, Object
from tests.helm.charts import CHART, helm, with_each_helm

pytestmark = with_each_helm

KEY, CERTIFICATE, TOKEN = "r-meshcache-key", "r-meshcache-webhook", "r-meshcache-metrics"


class Release:
    """One release, in namespace mc."""

    def __init__(self, program: Path, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self._program = program
        self._kubeconfig = folder / "kubeconfig"
        config = {
            "clusters": [{"name": "fake", "cluster": {"server": cluster.url}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake"}}],
            "current-context": "fake",
        }
        self._kubeconfig.write_text(json.dumps(config))

    def try_to(self, what: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        place = ("-n", "mc", "--kubeconfig", str(self._kubeconfig))
        return helm(what, "r", *arguments, *place, program=self._program)

    def install(self, *values: str) -> None:
        done = self.try_to("install", str(CHART), "--create-namespace", *values)
        assert done.returncode == 0, done.stderr

    def upgrade(self, *values: str) -> None:
        done = self.try_to("upgrade", str(CHART), *values)
        assert done.returncode == 0, done.stderr

    def uninstall(self) -> None:
        done = self.try_to("uninstall")
        assert done.returncode == 0, done.stderr

    def roll_back(self, revision: str) -> None:
        done = self.try_to("rollback", revision)
        assert done.returncode == 0, done.stderr

    def cache_size(self) -> str:
        text = self.cluster.of("configmaps")["r-meshcache"]["data"]["agent.yaml"]
        return str(yaml.safe_load(text)["cache-size"])

    def secret(self, name: str) -> dict[str, str]:
        data: dict[str, str] = self.cluster.of("secrets")[name]["data"]
        return data

    def hook(self) -> Object:
        (configuration,) = self.cluster.of("mutatingwebhookconfigurations").values()
        (hook,) = configuration["webhooks"]
        assert isinstance(hook, dict)
        return hook

    def put_secret(self, name: str, **data: str) -> Object:
        """Make a Secret that is not Helm's."""
        made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        self.cluster.objects[f"/api/v1/namespaces/mc/secrets/{name}"] = made
        return made


@pytest.fixture
def release(program: Path, tmp_path: Path) -> Iterator[Release]:
    with apiserver.running() as cluster:
        yield Release(program, cluster, tmp_path)


def test_an_upgrade_keeps_what_is_secret_and_changes_what_it_is_to_change(
    release: Release,
) -> None:
    release.install()
    before = {name: release.secret(name) for name in (KEY, CERTIFICATE, TOKEN)}
    assert release.hook()["clientConfig"]["caBundle"] == before[CERTIFICATE]["ca.crt"]
    (agents,) = release.cluster.of("daemonsets").values()
    restarted_by = agents["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    release.upgrade("--set", "agent.cacheSize=7GiB,webhook.failurePolicy=Ignore")
    assert {name: release.secret(name) for name in before} == before
    hook = release.hook()
    assert hook["failurePolicy"] == "Ignore"
    assert hook["clientConfig"]["caBundle"] == before[CERTIFICATE]["ca.crt"]
    assert release.cache_size() == "7GiB"
    (agents,) = release.cluster.of("daemonsets").values()
    assert agents["spec"]["template"]["metadata"]["annotations"]["checksum/config"] != restarted_by


def test_a_mesh_key_that_was_changed_in_its_secret_is_what_upgrades_and_rollbacks_keep(
    release: Release,
) -> None:
    release.install()
    changed = {"mesh.key": "YW5vdGhlciBrZXk="}
    release.cluster.of("secrets")[KEY]["data"] = dict(changed)
    release.upgrade()
    release.upgrade("--set", "agent.cacheSize=7GiB")
    assert release.secret(KEY) == changed
    release.roll_back("2")
    assert release.cache_size() == "10GiB"
    assert release.secret(KEY) == changed
    release.roll_back("1")
    assert release.secret(KEY) != changed, "the docs say so"


def test_what_is_declared_comes_and_goes_with_the_values(release: Release) -> None:
    release.install()
    dataset = {"name": "models", "spec": {"mounts": [{"mountPoint": "https://host.example/data/"}]}}
    release.upgrade("--set-json", f"datasets={json.dumps([dataset])}")
    declared = release.cluster.of("configmaps")["r-meshcache-declared"]["data"]["declared.yaml"]
    assert yaml.safe_load(declared)["metadata"] == {"name": "models"}
    release.upgrade("--set-json", "datasets=[]")
    assert list(release.cluster.of("configmaps")) == ["r-meshcache"]


def test_secrets_of_the_users_own_are_left_as_they_are(release: Release) -> None:
    own = [release.put_secret(f"own-{what}", x="eA==") for what in ("key", "tls", "token")]
    values = {
        "metrics": {"existingSecret": "own-token"},
        "meshKey": {"existingSecret": "own-key"},
        "webhook": {
            "certificate": {
                "source": "existing",
                "existing": {"secret": "own-tls", "caBundle": "Q0E="},
            }
        },
    }
    arguments = [
        part for name in values for part in ("--set-json", f"{name}={json.dumps(values[name])}")
    ]
    release.install(*arguments)
    release.upgrade(*arguments, "--set", "agent.cacheSize=7GiB")
    release.uninstall()
    assert list(release.cluster.of("secrets").values()) == own


def test_a_secret_of_somebody_elses_by_that_name_is_not_taken(release: Release) -> None:
    there = release.put_secret(KEY, **{"mesh.key": "c29tZWJvZHkgZWxzZSdz"})
    done = release.try_to("install", str(CHART), "--create-namespace")
    assert done.returncode != 0
    assert KEY in done.stderr
    assert release.cluster.of("secrets")[KEY] == there


def test_the_key_outlives_the_release_and_is_taken_up_by_the_next(release: Release) -> None:
    release.install()
    key, certificate = release.secret(KEY), release.secret(CERTIFICATE)
    release.uninstall()
    assert list(release.cluster.of("secrets")) == [KEY]
    release.install()
    assert release.secret(KEY) == key
    assert release.secret(CERTIFICATE) != certificate
    assert release.hook()["clientConfig"]["caBundle"] == release.secret(CERTIFICATE)["ca.crt"]


def test_a_certificate_that_was_deleted_is_made_anew(release: Release) -> None:
    release.install()
    key, certificate = release.secret(KEY), release.secret(CERTIFICATE)
    del release.cluster.objects[f"/api/v1/namespaces/mc/secrets/{CERTIFICATE}"]
    release.upgrade()
    assert release.secret(KEY) == key
    assert release.secret(CERTIFICATE)["tls.crt"] != certificate["tls.crt"]
    assert release.hook()["clientConfig"]["caBundle"] == release.secret(CERTIFICATE)["ca.crt"]
