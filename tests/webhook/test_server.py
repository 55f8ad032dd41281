"""The webhook as a process: HTTPS for an API server, certificates that are renewed under it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshcache.agent.trust import guestkey, meshkey
from meshcache.agent.webhook.renewed import GuestKeys
from tests.support.agents import command
from tests.support.wait import wait_until
from tests.webhook.reviews import DATASETS, NAMES, apply, review
from tests.webhook.rules import check_pod
from tests.webhook.running import Webhook, mutate


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
