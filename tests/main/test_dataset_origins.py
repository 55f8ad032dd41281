"""A dataset whose origin is another one, and datasets of several mounts, in a mesh of agents."""

from pathlib import Path

from tests.main.conftest import Origin
from tests.support.agents import Mesh
from tests.support.wait import wait_until


def test_a_dataset_of_a_dataset_shares_its_blocks_and_its_credentials(
    mesh: Mesh, origin: Origin
) -> None:
    data = {key: origin.put(key, key.encode() * 1000) for key in ("base/a", "base/deep/b", "c")}
    one, two = mesh.start("one", "two")
    origin.create(one, "other")
    mine = "dataset://other/base"
    one.run("dataset", "create", "mine", "--mount", f"/shared={mine}")
    for path, key in (("shared/a", "base/a"), ("shared/deep/b", "base/deep/b")):
        assert one.run("cat", "other", key).stdout.encode() == data[key]
        before = origin.cap.cap.counts.object_requests
        for agent in (one, two):
            assert agent.run("cat", "mine", path).stdout.encode() == data[key]
        assert origin.cap.cap.counts.object_requests == before, "the blocks are the other's"
    one.run("dataset", "create", "whole", "dataset://other")
    assert two.run("cat", "whole", "c").stdout.encode() == data["c"], "by the other's credentials"


def test_a_dataset_of_a_dataset_stays_as_it_was_listed_until_it_is_refreshed(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("a", b"a")
    (one,) = mesh.start("one")
    origin.create(one, "other")
    one.run("dataset", "create", "mine", "dataset://other")
    origin.put("b", b"b")
    one.run("dataset", "refresh", "other")
    assert [entry["name"] for entry in one.json("ls", "mine")] == ["a"]
    one.run("dataset", "refresh", "mine")
    assert [entry["name"] for entry in one.json("ls", "mine")] == ["a", "b"]
    old = one.json("dataset", "versions", "other")[-1]["id"][:12]
    one.run("dataset", "create", "then", f"dataset://other@{old}")
    assert [entry["name"] for entry in one.json("ls", "then")] == ["a"]
    one.run("dataset", "refresh", "then")
    assert [entry["name"] for entry in one.json("ls", "then")] == ["a"]
    assert one.run("cat", "then", "a").stdout == "a"
    none = one.run("dataset", "create", "none", "dataset://other@abcdef", check=False)
    assert (none.returncode, "has no version abcdef" in none.stderr) == (1, True)
    one.run("dataset", "delete", "then")
    refused = one.run("dataset", "delete", "other", check=False)
    assert (refused.returncode, "is an origin of mine" in refused.stderr) == (1, True)


def test_mounts_are_merged_into_one_tree_also_below_one_another(
    mesh: Mesh, origin: Origin, tmp_path: Path
) -> None:
    origin.put("a", b"bucket")
    origin.put("sub/hidden", b"bucket")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text(folder)
    (agent,) = mesh.start("one")
    agent.run(
        *("dataset", "create", "data", f"s3://{origin.bucket}", *origin.flags()),
        *("--mount", f"/sub={(tmp_path / 'one').as_uri()}"),
        *("--mount", f"/sub/deep/er={(tmp_path / 'two').as_uri()}"),
    )
    shown = {
        path: agent.run("cat", "data", path).stdout
        for path in ("a", "sub/file", "sub/deep/er/file")
    }
    assert shown == {"a": "bucket", "sub/file": "one", "sub/deep/er/file": "two"}
    (skipped,) = agent.json("dataset", "skipped", "data")
    assert skipped == {"key": "sub/hidden", "reason": "hidden by another mount"}


def test_a_claim_is_read_wherever_a_node_has_it(mesh: Mesh, tmp_path: Path) -> None:
    (tmp_path / "here/claim/models").mkdir(parents=True)
    (tmp_path / "here/claim/models/file").write_text("bytes")
    (tmp_path / "there").symlink_to("here")
    one, two = (
        mesh.agent(name, "--pvc-root", str(tmp_path / root))
        for name, root in (("one", "here"), ("two", "there"))
    )
    one.start()
    two.start(join=one.gossip)
    one.run("dataset", "create", "data", "pvc://claim/models")
    wait_until(lambda: two.ask("/v1/datasets") != [])
    assert two.run("cat", "data", "file").stdout == "bytes"
