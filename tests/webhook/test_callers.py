"""Who is answered, where the API server shows a certificate."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.support.agents import command
from tests.support.wait import wait_until
from tests.webhook.reviews import review
from tests.webhook.running import Webhook, mutate

CALLERS = trustme.CA()
API_SERVER = CALLERS.issue_cert("api-server")


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    folder = tmp_path_factory.mktemp("webhook")
    CALLERS.cert_pem.write_to_path(str(folder / "callers.crt"))
    running = Webhook(folder, "--dataset", "models", "--client-ca", str(folder / "callers.crt"))
    try:
        yield running
    finally:
        assert running.end() == 0


def test_who_shows_the_certificate_is_answered_and_nobody_else(webhook: Webhook) -> None:
    status, answered = mutate(webhook, review("job-single"), API_SERVER)
    assert status == 200
    assert "patch" in answered["response"]
    status, answered = mutate(webhook, review("job-single"))
    assert (status, answered) == (403, {"error": "this takes a client certificate"})
    with pytest.raises(OSError):
        mutate(webhook, review("job-single"), trustme.CA().issue_cert("api-server"))


def test_probes_show_none(webhook: Webhook) -> None:
    assert webhook.ask("/healthz")[0] == webhook.ask("/readyz")[0] == 200


def test_it_asks_for_certificates_still_after_its_own_was_renewed(webhook: Webhook) -> None:
    before = webhook.certificate()
    webhook.renew("localhost")
    wait_until(lambda: webhook.certificate() != before, within=20)
    assert mutate(webhook, review("job-single"))[0] == 403
    assert mutate(webhook, review("job-single"), API_SERVER)[0] == 200


def test_a_file_that_holds_no_certificate_is_told_of(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.write_text("x")
    own = API_SERVER.private_key_and_cert_chain_pem
    own.write_to_path(str(tmp_path / "own"))
    flags = ("--tls-cert", str(tmp_path / "own"), "--tls-key", str(tmp_path / "own"))
    done = command(
        *("webhook", "--listen", "127.0.0.1:0", *flags, "--client-ca", str(nothing)), check=False
    )
    assert done.returncode == 2
    assert f"--client-ca {nothing}: " in done.stderr
