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

from tests.support.agents import environment
from tests.support.wait import wait_until
from tests.webhook.reviews import review

CA = trustme.CA()


class Webhook:
    """One running `meshcache webhook`."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.cert, self.key = folder / "tls.crt", folder / "tls.key"
        self.renew("localhost")
        command = [
            *(sys.executable, "-m", "meshcache.agent.cli", "webhook"),
            *("--listen", "127.0.0.1:0", "--tls-cert", str(self.cert), "--tls-key", str(self.key)),
            *("--socket", str(folder / "none.sock"), *flags),
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
    running = Webhook(tmp_path_factory.mktemp("webhook"), "--dataset", "models")
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


def test_a_probe_is_answered(webhook: Webhook) -> None:
    assert webhook.ask("/healthz") == (200, b"ok\n")


@pytest.mark.parametrize(
    "body", [{}, [], {"request": {"uid": "x"}, "apiVersion": "admission.k8s.io/v1beta1"}]
)
def test_what_is_no_review_of_this_version_gets_one_clear_line(webhook: Webhook, body: Any) -> None:
    status, answered = mutate(webhook, body)
    assert status == 400
    assert answered["error"]


def test_a_renewed_certificate_is_taken_up_without_a_restart(webhook: Webhook) -> None:
    before = webhook.certificate()
    webhook.renew("localhost")
    wait_until(lambda: webhook.certificate() != before, within=20)
    assert webhook.ask("/healthz")[0] == 200


def test_files_that_are_no_certificate_are_told_of(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.write_text("x")
    command = [sys.executable, "-m", "meshcache.agent.cli", "webhook", "--listen", "127.0.0.1:0"]
    ended = subprocess.run(
        [*command, "--tls-cert", str(nothing), "--tls-key", str(nothing)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment(),
    )
    assert ended.returncode == 2
    assert "--tls-cert" in ended.stderr
    assert "Traceback" not in ended.stderr
