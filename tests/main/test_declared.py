"""What a folder declares is in the mesh, whichever agents have the folder."""

import json
from pathlib import Path

import pytest

from tests.support.agents import Mesh
from tests.support.wait import wait_until

DATASET = """
apiVersion: data.fluid.io/v1alpha1
kind: Dataset
metadata: {{name: {name}}}
spec:
  mounts:
    - mountPoint: local://{folder}
      path: /
---
apiVersion: data.fluid.io/v1alpha1
kind: DataLoad
metadata: {{name: warm-{name}}}
spec:
  dataset: {{name: {name}, namespace: default}}
"""


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    for name in ("first", "second"):
        (tmp_path / "origin" / name).mkdir(parents=True)
        (tmp_path / "origin" / name / "file").write_text(name)
    (tmp_path / "declared").mkdir()
    return Mesh(tmp_path)


def document(mesh: Mesh, name: str) -> str:
    return DATASET.format(name=name, folder=mesh.folder / "origin" / name)


def test_datasets_and_loads_come_as_declared_and_stay_when_they_are_not_any_more(
    mesh: Mesh,
) -> None:
    folder = mesh.folder / "declared"
    (folder / "a.yaml").write_text(document(mesh, "first"))
    with mesh:
        agents = [mesh.agent(name, "--apply", str(folder)) for name in ("one", "two", "three")]
        for agent in agents:
            agent.start(join=agents[0].gossip)

        def loaded(name: str) -> bool:
            phases = {load["name"]: load["phase"] for load in agents[2].ask("/v1/loads")}
            return phases.get(f"warm-{name}") == "Complete"

        wait_until(lambda: loaded("first"), within=60)
        assert agents[1].run("cat", "first", "file").stdout == "first"
        made = agents[0].ask("/v1/datasets/first")["created"]

        (folder / "new").write_text(document(mesh, "second"))
        (folder / "new").rename(folder / "a.yaml")
        wait_until(lambda: loaded("second"), within=60)
        assert agents[0].ask("/v1/datasets/first")["created"] == made

        # Both times one of the three did it, and the others found it done.
        lines = [
            json.loads(line) for agent in agents for line in agent.log.read_text().splitlines()
        ]
        done = sorted(line["name"] for line in lines if line["message"] == "declared")
        assert done == ["first", "second", "warm-first", "warm-second"]


def test_a_guest_applies_nothing_and_a_mesh_of_one_at_once(mesh: Mesh) -> None:
    folder = mesh.folder / "declared"
    (folder / "a.yaml").write_text(document(mesh, "first"))
    with mesh:
        guest = mesh.agent("guest", "--role", "guest", "--apply", str(folder)).start()
        alone = mesh.agent("alone", "--apply", str(folder)).start()
        wait_until(lambda: alone.ask("/v1/datasets"), within=30)
        assert guest.ask("/v1/datasets") == []
