"""An injected pod, run: real containers (runc), real FUSE, an app of an ordinary user."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshcache.agent.webhook.inject import inject
from meshcache.agent.webhook.settings import SidecarSettings
from tests.main.conftest import Origin, cap, mesh, origin  # noqa: F401 - fixtures
from tests.support.agents import Agent, Mesh, environment
from tests.support.wait import wait_until
from tests.webhook.reviews import review

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(shutil.which("runc") is None, reason="no runc: .ci/setup installs it"),
]

DATA = os.urandom(3 << 20)
WHOLE = hashlib.sha256(DATA).hexdigest()


class Pod:
    """A pod under way."""

    def __init__(self, folder: Path, pod: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "pod.json").write_text(json.dumps(pod))
        program = [sys.executable, "-m", "meshcache.agent.cli"]
        (folder / "entrypoint.json").write_text(json.dumps(program))
        runner = [sys.executable, "-m", "tests.webhook.pod_runner", str(folder)]
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", *runner],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def logs(self) -> str:
        parts = ((path.name, path.read_text()) for path in self.folder.glob("*.log"))
        return "\n".join(f"--- {name}\n{text[-3000:]}" for name, text in parts)

    def mounts(self) -> list[str]:
        """Those of datasets on the pod's volumes, as its node sees them."""
        lines = Path(f"/proc/{self.process.pid}/mounts").read_text().splitlines()
        return [line for line in lines if f" {self.folder}/volumes/" in line and "fuse" in line]

    def wait_for(self, line: str, name: str) -> None:
        wait_until(lambda: line in self.log(name) or self.process.poll() is not None, within=60)

    def wait(self) -> int:
        out, err = self.process.communicate(timeout=100)
        assert self.process.returncode is not None
        if self.process.returncode:
            print(out, err, self.logs())
        return self.process.returncode

    def end(self) -> dict[str, Any]:
        ended: dict[str, Any] = json.loads((self.folder / "end.json").read_text())
        return ended

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=30)


@pytest.fixture
def node(mesh: Mesh, origin: Origin) -> Agent:  # noqa: F811
    origin.put("file", DATA)
    origin.put("deep/file", DATA)
    (one,) = mesh.start("node")
    origin.create(one, "models")
    return one


def job(node: Agent, script: str, lifecycle: str = "native") -> dict[str, Any]:
    """The pod of a Job, as an API server sent it, injected; the app runs a script as user 1000."""
    pod = review("job-single")["request"]["object"]
    app = pod["spec"]["containers"][0]
    app |= {"command": ["/bin/sh", "-c", script], "args": [], "env": []}
    folder = next(one for one in app["volumeMounts"] if one["mountPath"] == "/data")
    app["volumeMounts"].append(folder | {"mountPath": "/sub", "subPath": "deep"})
    app["securityContext"] = {"runAsUser": 1000, "runAsGroup": 1000}
    key = node.run("keys", "guest", "models").stdout.strip()
    settings = SidecarSettings.model_validate(
        {
            "lifecycle": lifecycle,
            "join": [node.gossip],
            "cache-size": "64MiB",
            "env": {"MESHCACHE_LISTEN": "127.0.0.1:0", "MESHCACHE_GOSSIP": "127.0.0.1:0"},
        }
    )
    return inject(
        pod, settings, is_dataset=lambda name: name == "models", key_for=lambda _: key
    ).pod


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "pod"


def test_a_job_reads_its_data_and_completes_and_nothing_is_left(node: Agent, folder: Path) -> None:
    pod = Pod(folder, job(node, "id -u; sha256sum /data/file"))
    try:
        assert pod.wait() == 0
    finally:
        pod.close()
    app = pod_name(folder)
    assert pod.log(app).split()[:2] == ["1000", WHOLE]
    ended = pod.end()
    assert ended["sidecars"]["meshcache-fuse-0"]["code"] == 0
    assert ended["mounts"] == []


def test_a_classic_sidecar_ends_by_itself_when_the_app_has_ended(node: Agent, folder: Path) -> None:
    # Nothing holds the app back until the mount is there.
    script = "until sha256sum /data/file 2>/dev/null; do sleep 0.1; done"
    pod = Pod(folder, job(node, script, "classic"))
    try:
        assert pod.wait() == 0
    finally:
        pod.close()
    assert pod.log(pod_name(folder)).split()[0] == WHOLE
    assert pod.end() == {"sidecars": {}, "mounts": []}


def test_an_app_reads_on_whenever_its_sidecar_was_killed(node: Agent, folder: Path) -> None:
    script = """
        both() { sha256sum /data/deep/file /sub/file; }
        for turn in 1 2; do
            both; echo turn $turn
            while both >/dev/null 2>&1; do sleep 0.05; done
            until both >/dev/null 2>&1; do sleep 0.1; done
        done
        both
    """
    pod = Pod(folder, job(node, script))
    app = pod_name(folder)
    try:
        for turn in (1, 2):
            pod.wait_for(f"turn {turn}", app)
            # Of the dataset and of its folder, on the volumes and where the sidecar keeps them.
            assert len(pod.mounts()) == 4
            (folder / "kill-meshcache-fuse-0").touch()
        assert pod.wait() == 0
    finally:
        pod.close()
    sums = [line.split()[0] for line in pod.log(app).splitlines() if not line.startswith("turn")]
    assert sums == [WHOLE] * 6
    assert pod.end()["mounts"] == []


def pod_name(folder: Path) -> str:
    name: str = json.loads((folder / "pod.json").read_text())["spec"]["containers"][-1]["name"]
    return name
