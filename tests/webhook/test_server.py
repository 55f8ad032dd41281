"""The webhook as a process: HTTPS for an API server, certificates that are renewed under it."""

import json
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from meshcache.agent.trust import guestkey, meshkey
from meshcache.agent.webhook.renewed import GuestKeys
from tests.support.agents import command, environment
from tests.support.wait import wait_until
from tests.webhook.reviews import DATASETS, NAMES, apply, review
from tests.webhook.rules import check_pod

CA = trustme.CA()


class Webhook:
    """One running `meshcache webhook`."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.cert, self.key = folder / "tls.crt", folder / "tls.key"
        self.renew("localhost")
        self._secret = folder / "secret"
        self._secret.mkdir()
        self.put_mesh_key()
        command = [
            *(sys.executable, "-m", "meshcache.agent.cli", "webhook"),
            *("--listen", "127.0.0.1:0", "--tls-cert", str(self.cert), "--tls-key", str(self.key)),
            *("--mesh-key-file", str(self._secret / "mesh.key")),
            *flags,
        ]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=environment()
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if match := re.search(r"is ready: (https://\S+)/mutate", line):
                self.url = match[1].replace("127.0.0.1", "localhost")
                return
        raise AssertionError(f"it ended with {self.process.wait()}")

    def renew(self, *names: str) -> None:
        made = CA.issue_cert(*names)
        made.private_key_pem.write_to_path(str(self.key))
        made.cert_chain_pems[0].write_to_path(str(self.cert))

    def put_mesh_key(self) -> bytes:
        """Put another mesh key there, as the kubelet renews a Secret: files are links that lead
        through one, which is swapped."""
        key = meshkey.generate()
        version = self._secret / key
        version.mkdir()
        meshkey.write(version / "mesh.key", key)
        (self._secret / "..new").symlink_to(key)
        (self._secret / "..new").rename(self._secret / "..data")
        if not (self._secret / "mesh.key").exists():
            (self._secret / "mesh.key").symlink_to("..data/mesh.key")
        return bytes.fromhex(key)

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        trust = ssl.create_default_context()
        CA.configure_trust(trust)
        request = urllib.request.Request(f"{self.url}{path}", data=body)
        try:
            with urllib.request.urlopen(request, timeout=10, context=trust) as answered:
                return answered.status, answered.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def certificate(self) -> bytes:
        host, port = self.url.removeprefix("https://").split(":")
        return ssl.get_server_certificate((host, int(port))).encode()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        with self.process:  # which closes its pipe
            return self.process.wait(10)


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """One whose agent is not there."""
    folder = tmp_path_factory.mktemp("webhook")
    running = Webhook(folder, "--dataset", "models", "--socket", str(folder / "none.sock"))
    try:
        yield running
    finally:
        assert running.end() == 0


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """One that has no agent, and datasets by name alone."""
    named = [word for name in DATASETS for word in ("--dataset", name)]
    running = Webhook(tmp_path_factory.mktemp("alone"), *named)
    try:
        yield running
    finally:
        assert running.end() == 0


def mutate(webhook: Webhook, asked: Any) -> tuple[int, dict[str, Any]]:
    status, body = webhook.ask("/mutate", json.dumps(asked).encode())
    return status, json.loads(body)


def test_a_review_is_answered_over_tls(webhook: Webhook) -> None:
    status, answered = mutate(webhook, review("job-single"))
    assert status == 200
    assert answered["response"]["allowed"] is True
    assert answered["response"]["patchType"] == "JSONPatch"


@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_real_api_server_asked_is_answered_over_tls(alone: Webhook, name: str) -> None:
    asked = review(name)
    status, answered = mutate(alone, asked)
    assert status == 200
    assert answered["response"]["uid"] == asked["request"]["uid"]
    assert answered["response"]["allowed"] is True
    pod = apply(asked["request"]["object"], answered["response"])
    check_pod(pod)
    asked["request"]["object"] = pod
    assert "patch" not in mutate(alone, asked)[1]["response"]


def test_a_probe_is_answered(webhook: Webhook) -> None:
    assert webhook.ask("/healthz") == (200, b"ok\n")


def test_an_unknown_name_is_not_decided_before_an_agent_has_answered(webhook: Webhook) -> None:
    status, answered = mutate(webhook, review("annotation-only"))
    assert (status, answered["error"]) == (503, "the mesh's datasets are not known")
    assert webhook.ask("/readyz")[0] == 503


@pytest.mark.parametrize(
    "pod",
    [
        {"kind": "Pod"},
        {"kind": "Pod", "metadata": {}, "spec": {}},
        {"kind": "Pod", "metadata": {"labels": ["x"]}, "spec": {"containers": []}},
        {"kind": "Pod", "metadata": {}, "spec": {"containers": "none"}},
        {"kind": "Pod", "metadata": {}, "spec": {"containers": [], "volumes": [{"x": 1}]}},
    ],
)
def test_what_is_no_pod_gets_one_clear_line(webhook: Webhook, pod: Any) -> None:
    asked = {"apiVersion": "admission.k8s.io/v1", "request": {"uid": "1", "object": pod}}
    status, answered = mutate(webhook, asked)
    assert status == 400
    assert answered["error"].startswith("no pod: ")


def test_what_is_not_about_a_pod_is_let_pass(webhook: Webhook) -> None:
    asked = {
        "apiVersion": "admission.k8s.io/v1",
        "request": {"uid": "1", "object": {"kind": "Service"}},
    }
    assert mutate(webhook, asked)[1]["response"] == {"uid": "1", "allowed": True}


@pytest.mark.parametrize(
    "body", [{}, [], {"request": {"uid": "x"}, "apiVersion": "admission.k8s.io/v1beta1"}]
)
def test_what_is_no_review_of_this_version_gets_one_clear_line(webhook: Webhook, body: Any) -> None:
    status, answered = mutate(webhook, body)
    assert status == 400
    assert answered["error"]


def test_a_renewed_certificate_and_mesh_key_are_taken_up_without_a_restart(
    webhook: Webhook,
) -> None:
    cert, key = webhook.certificate(), webhook.put_mesh_key()
    webhook.renew("localhost")
    wait_until(lambda: webhook.certificate() != cert, within=20)
    wait_until(lambda: key_of_a_pod(webhook) == str(guestkey.guest_key(key, "models")), within=20)
    assert webhook.ask("/healthz")[0] == 200


def key_of_a_pod(webhook: Webhook) -> str:
    asked = review("job-single")
    response = mutate(webhook, asked)[1]["response"]
    sidecar = apply(asked["request"]["object"], response)["spec"]["initContainers"][0]
    found = {one["name"]: one.get("value") for one in sidecar["env"]}
    return str(found["MESHCACHE_GUEST_KEY"])


@pytest.mark.parametrize("damage", [b"no key", b"", None])
def test_a_mesh_key_that_cannot_be_used_is_left_until_it_can(
    tmp_path: Path, damage: bytes | None
) -> None:
    file = tmp_path / "mesh.key"
    meshkey.write(file, meshkey.generate())
    keys = GuestKeys(file)
    before = keys.key_for("models")
    file.unlink()
    if damage is not None:
        file.write_bytes(damage)
    assert not keys.renew()
    assert keys.key_for("models") == before
    file.unlink(missing_ok=True)
    meshkey.write(file, meshkey.generate())
    assert keys.renew()
    assert keys.key_for("models") != before
    assert not keys.renew()


def test_files_that_are_no_certificate_are_told_of(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.write_text("x")
    flags = ("--tls-cert", str(nothing), "--tls-key", str(nothing))
    ended = command("webhook", "--listen", "127.0.0.1:0", *flags, check=False)
    assert ended.returncode == 2
    assert "--tls-cert" in ended.stderr
    assert "Traceback" not in ended.stderr
