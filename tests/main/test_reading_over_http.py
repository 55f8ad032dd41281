"""Files over HTTP: the same bytes as at the origin, for those who may."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh, command
from tests.support.wait import wait_until


def get(agent: Agent, path: str, **headers: str) -> tuple[int, bytes]:
    url = f"http://{agent.http}/v1/datasets/{path}"
    request = urllib.request.Request(url, headers={k.title(): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture
def two(mesh: Mesh) -> tuple[Agent, Agent]:
    one, other = mesh.start("one", "two")
    return one, other


def token(agent: Agent, dataset: str) -> str:
    return "Bearer " + agent.run("token", "--dataset", dataset, "--ttl", "1h").stdout.strip()


files = st.dictionaries(
    st.text("abc ü%?#+", min_size=1, max_size=6).filter(lambda name: name.strip() == name),
    st.binary(max_size=300).map(lambda seed: (seed * 9000)[: len(seed) * 8191]),
    min_size=1,
    max_size=3,
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(files=files, data=st.data())
def test_any_range_of_any_file_has_the_origins_bytes_through_any_agent(
    two: tuple[Agent, Agent], origin: Origin, files: dict[str, bytes], data: st.DataObject
) -> None:
    for key in list(origin.seaweed.keys(origin.bucket)):
        origin.seaweed.delete(origin.bucket, key)
    for key, content in files.items():
        origin.put(f"d/{key}", content)
    one, other = two
    one.run("dataset", "create", "any", f"s3://{origin.bucket}/d", *origin.flags())
    try:
        wait_until(lambda: other.lists("any"))
        bearer = token(one, "any")
        for key, content in files.items():
            path = f"any/files/{urllib.request.quote(key)}"  # type: ignore[attr-defined]
            for agent in two:
                assert get(agent, path, authorization=bearer) == (200, content)
            if content:
                first = data.draw(st.integers(0, len(content) - 1))
                last = data.draw(st.integers(first, len(content) + 10))
                status, body = get(other, path, authorization=bearer, range=f"bytes={first}-{last}")
                assert (status, body) == (206, content[first : last + 1])
    finally:
        one.run("dataset", "delete", "any")
        wait_until(lambda: not other.lists("any"))


def test_curl_reads_a_file_with_a_token_and_nothing_without(
    two: tuple[Agent, Agent], origin: Origin
) -> None:
    origin.put("file", b"hello")
    one, _ = two
    origin.create(one)
    bearer = token(one, "data")
    assert get(one, "data/files/file", authorization=bearer) == (200, b"hello")
    assert get(one, "data/files/file")[0] == 401
    assert get(one, "data/files/none", authorization=bearer)[0] == 404
    assert get(one, "data", authorization=bearer)[0] == 401, "a token reads files, nothing else"


def test_open_reads_lets_anybody_read_files_and_nothing_else(mesh: Mesh, origin: Origin) -> None:
    origin.put("file", b"hello")
    agent = mesh.agent("one", "--open-reads").start()
    origin.create(agent)
    assert get(agent, "data/files/file") == (200, b"hello")
    assert get(agent, "data")[0] == 401


def test_cat_and_ls_show_what_is_there(two: tuple[Agent, Agent], origin: Origin) -> None:
    origin.put("models/a.bin", b"A" * 100)
    origin.put("models/b/c.bin", b"C")
    one, other = two
    origin.create(one)
    wait_until(lambda: other.lists("data"))
    assert other.run("cat", "data", "models/a.bin").stdout == "A" * 100
    listed = other.json("ls", "data", "models")
    assert [(row["name"], row["type"], row["size"]) for row in listed] == [
        ("a.bin", "file", 100),
        ("b", "dir", 0),
    ]


def test_an_agent_without_the_mesh_key_can_neither_join_nor_read_a_block(
    mesh: Mesh, origin: Origin, tmp_path: Path
) -> None:
    origin.put("file", b"secret" * 1000)
    (one,) = mesh.start("one")
    origin.create(one)
    one.run("load", "data", "--wait")
    other_key = tmp_path / "other.key"
    command("keys", "generate", str(other_key))
    stranger = Agent(tmp_path, "stranger", key=other_key, size="64MiB")
    try:
        stranger.start(join=one.gossip)
        # Its own seed retries for ever; what it can never do is appear, or see.
        assert stranger.states() == {"stranger": "alive"}
        assert one.states() == {"one": "alive"}
        assert stranger.json("dataset", "list") == []
        (block,) = [p.name for p in (one.cache / "blocks").rglob("*-4194304-0")]
        asked = command(
            *("dataset", "list", "--agent", f"http://{one.http}"),
            *("--mesh-key-file", str(other_key)),
            check=False,
        )
        assert asked.returncode == 1
        assert len(asked.stderr.strip().splitlines()) == 1
        url = f"http://{one.http}/v1/blocks/{block}?dataset=data"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(url, timeout=20)
    finally:
        stranger.close()


def test_a_command_with_proof_of_the_key_works_over_tcp(
    two: tuple[Agent, Agent], mesh: Mesh
) -> None:
    one, _ = two
    listed = command(
        *("members", "--agent", f"http://{one.http}", "--mesh-key-file", str(mesh.key))
    )
    assert "two" in listed.stdout


def test_several_mounts_of_one_bucket_are_one_tree_on_every_node(
    two: tuple[Agent, Agent], origin: Origin
) -> None:
    origin.put("train/a", b"1")
    origin.put("test/b", b"2")
    one, other = two
    one.run(
        *("dataset", "create", "many", "--mount", f"/x=s3://{origin.bucket}/train"),
        *("--mount", f"/deep/y=s3://{origin.bucket}/test", *origin.flags()),
    )
    wait_until(lambda: other.lists("many"))
    assert other.run("cat", "many", "x/a").stdout == "1"
    assert other.run("cat", "many", "deep/y/b").stdout == "2"
    assert one.run("cat", "many", "deep/y/b").stdout == "2"


def test_mounts_are_registered_over_the_socket_alone(two: tuple[Agent, Agent], mesh: Mesh) -> None:
    one, other = two
    done = command(
        *("mount", "data", str(other.folder), "--agent", f"http://{one.http}"),
        *("--mesh-key-file", str(mesh.key)),
        check=False,
    )
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert one.json("status")["mounts"] == []
