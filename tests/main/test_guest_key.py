"""A tenant's pod holds a key for one dataset: it reads that, and can do nothing else."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshcache.agent.trust.guestkey import parse
from meshcache.fuse.mountinfo import mount_at
from meshcache.fuse.mountpoint import abort, detach
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh, command, digest, environment
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse

DATA = os.urandom(5 << 20)
WHOLE = hashlib.sha256(DATA).hexdigest()


class Tenant:
    """`meshcache mount --guest` and, beside it, commands that ask its agent."""

    def __init__(self, node: Agent, key: str, folder: Path) -> None:
        self.mountpoint = folder / "mnt"
        self.mountpoint.mkdir(parents=True)
        self.log = folder / "log"
        self.socket = folder / "agent.sock"
        self._environment = environment(
            MESHCACHE_JOIN=node.gossip,
            MESHCACHE_GUEST_KEY=key,
            MESHCACHE_CACHE_DIR=str(folder / "cache"),
            MESHCACHE_CACHE_SIZE="64MiB",
            MESHCACHE_NAME="tenant",
            MESHCACHE_SECRET_ROOT=str(folder),  # the origin's keys are not for it
            MESHCACHE_LISTEN="127.0.0.1:0",
            MESHCACHE_GOSSIP="127.0.0.1:0",
        )
        self.processes: list[subprocess.Popen[bytes]] = []

    def begin(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "meshcache.agent.cli", *arguments],
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        self.processes.append(process)
        return process

    def mount(self, dataset: str) -> None:
        process = self.begin("mount", "--guest", dataset, str(self.mountpoint))
        wait_until(
            lambda: "is mounted at" in self.log.read_text() or process.poll() is not None,
            within=60,
        )
        assert process.poll() is None, self.log.read_text()

    def agent(self) -> None:
        """Its agent alone, with a socket that commands find."""
        self.begin("agent", "--role", "guest", "--socket", str(self.socket))
        wait_until(self.socket.exists, within=60)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return command(*arguments, "--socket", str(self.socket), check=False)

    def sees(self) -> list[str]:
        """The names of the datasets that it knows."""
        return [one["name"] for one in json.loads(self.run("dataset", "list", "-o", "json").stdout)]

    def read(self, dataset: str, path: str) -> bytes:
        program = [sys.executable, "-m", "meshcache.agent.cli", "cat", dataset, path]
        program += ["--socket", str(self.socket)]
        return subprocess.run(program, stdout=subprocess.PIPE, timeout=60, check=True).stdout

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait(10)
        if (mounted := mount_at(self.mountpoint)) is not None:
            detach(self.mountpoint)
            abort(mounted)


@pytest.fixture
def node(mesh: Mesh, origin: Origin) -> Agent:
    origin.put("file", DATA)
    (one,) = mesh.start("node")
    origin.create(one, "models")
    origin.create(one, "other")
    return one


@pytest.fixture
def tenant(node: Agent, tmp_path: Path) -> Iterator[Tenant]:
    key = node.run("keys", "guest", "models").stdout.strip()
    made = Tenant(node, key, tmp_path / "tenant")
    yield made
    made.close()


def test_it_mounts_and_reads_its_dataset(tenant: Tenant, node: Agent) -> None:
    tenant.mount("models")
    assert digest(tenant.mountpoint / "file") == WHOLE
    assert node.metric("meshcache_served_bytes") >= len(DATA)  # it has no way to the origin


def test_it_sees_and_reads_no_other_dataset_and_changes_nothing(
    tenant: Tenant, node: Agent
) -> None:
    tenant.agent()
    wait_until(lambda: tenant.sees() == ["models"], within=20)
    assert tenant.run("ls", "models").stdout.split()[-1] == "file"
    refused = tenant.run("cat", "other", "file")
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
    assert "no dataset 'other'" in refused.stderr
    node.run("load", "models", "--wait")

    def tells() -> bool:
        shown = json.loads(tenant.run("dataset", "show", "models", "-o", "json").stdout)
        return bool(shown["cached"] == len(DATA))

    wait_until(tells, within=20)
    counted = tenant.run("dataset", "show", "models", "--exact", "-o", "json")
    assert json.loads(counted.stdout)["cached"] == len(DATA)
    assert "2 of 2 members answered" in counted.stderr
    assert "0 of" not in counted.stderr
    tenant.run("dataset", "delete", "other")
    before = node.json("dataset", "list")
    assert [one["name"] for one in before] == ["models", "other"]
    assert node.json("dataset", "show", "other")["name"] == "other"


def test_it_sees_what_its_dataset_is_made_of(node: Agent, tmp_path: Path) -> None:
    node.run("dataset", "create", "mixed", "dataset://models")
    key = node.run("keys", "guest", "mixed").stdout.strip()
    tenant = Tenant(node, key, tmp_path / "of mixed")
    try:
        tenant.agent()
        wait_until(lambda: tenant.sees() == ["mixed", "models"], within=20)
        assert hashlib.sha256(tenant.read("mixed", "file")).hexdigest() == WHOLE
    finally:
        tenant.close()


def test_a_key_for_a_dataset_that_there_is_not_is_not_made(node: Agent) -> None:
    done = node.run("keys", "guest", "nothing", check=False)
    assert done.returncode == 1
    assert "no dataset 'nothing'" in done.stderr


def test_a_guest_is_listed_by_its_host_as_a_leaf(tenant: Tenant, node: Agent) -> None:
    tenant.agent()

    def seen() -> bool:
        members = json.loads(node.run("members", "-o", "json").stdout)
        return any(one["name"] == "tenant" and one["role"] == "guest" for one in members)

    wait_until(seen, within=20)


def test_the_key_does_not_show_the_mesh_key(mesh: Mesh, node: Agent) -> None:
    text = node.run("keys", "guest", "models").stdout.strip()
    key = parse(text)
    assert key.dataset == "models"
    assert bytes.fromhex(mesh.key.read_text().strip()) not in (key.secret, key.server)
    assert node.run("keys", "guest", "other").stdout.strip() != text
