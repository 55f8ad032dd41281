"""The webhook as a process, asked as an API server asks it."""

import json
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import trustme

from meshcache.agent.trust import meshkey
from tests.support.agents import environment

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

    def ask(
        self, path: str, body: bytes | None = None, shown: trustme.LeafCert | None = None
    ) -> tuple[int, bytes]:
        """Its answer to a GET, or to a POST of a body, from somebody who shows a certificate."""
        trust = ssl.create_default_context()
        CA.configure_trust(trust)
        if shown is not None:
            shown.configure_cert(trust)
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


def mutate(
    webhook: Webhook, asked: Any, shown: trustme.LeafCert | None = None
) -> tuple[int, dict[str, Any]]:
    """The status and the content of its answer to a review."""
    status, body = webhook.ask("/mutate", json.dumps(asked).encode(), shown)
    return status, json.loads(body)
