"""`apply`, `get` and `delete`: what is asked of the agent, what is said, and what is refused."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshcache.agent.cli import exits
from meshcache.errors import DatasetBusy, DatasetNotFound, InvalidInput, NotFound
from tests.support.commands import Run
from tests.support.fake_agent import FakeAgent

DATASET = "kind: Dataset\nname: data\nmounts: ['s3://bucket/data']\n"
LOAD = "kind: Load\nname: warm\ndataset: data\npaths: [a]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.yaml"


def result(name: str, done: str, message: str = "") -> dict[str, Any]:
    return {"name": name, "result": done, "generation": 1, "error": "", "message": message}


def test_a_file_is_applied_as_a_whole(agent: FakeAgent, run: Run, file: Path) -> None:
    file.write_text(f"{DATASET}---\n{DATASET.replace('name: data', 'name: more')}---\n{LOAD}")
    agent.on("POST", "/v1/apply", [result("data", "created"), result("more", "unchanged")])
    agent.on("GET", "/v1/loads/warm/spec", NotFound("no load"))
    agent.on("POST", "/v1/loads", {"name": "warm"})
    assert run("apply", "-f", str(file)) == (
        exits.OK,
        "dataset.data.fluid.io/data created\n"
        "dataset.data.fluid.io/more unchanged\n"
        "dataload.data.fluid.io/warm created\n",
        "",
    )
    asked = [(one.method, one.target) for one in agent.asked]
    assert asked == [("POST", "/v1/apply"), ("GET", "/v1/loads/warm/spec"), ("POST", "/v1/loads")]
    (first, _), dry_run = agent.asked[0].body["datasets"], agent.asked[0].body["dry_run"]
    assert (first["name"], first["mounts"][0]["url"], dry_run) == (
        "data",
        "s3://bucket/data",
        False,
    )
    assert not {"uid", "created", "generation"} & first.keys()
    assert agent.asked[-1].body["targets"] == [{"path": "a", "replicas": 0}]


def test_a_dry_run_starts_and_changes_nothing(agent: FakeAgent, run: Run, file: Path) -> None:
    file.write_text(f"{DATASET}---\n{LOAD}")
    agent.on("POST", "/v1/apply", [result("data", "configured")])
    agent.on("GET", "/v1/loads/warm/spec", NotFound("no load"))
    assert run("apply", "-f", str(file), "--dry-run").out == (
        "dataset.data.fluid.io/data configured (dry run)\n"
        "dataload.data.fluid.io/warm created (dry run)\n"
    )
    assert agent.asked[0].body["dry_run"] is True
    assert [one.method for one in agent.asked] == ["POST", "GET"]


def test_what_fails_is_told_and_its_loads_are_not_started(
    agent: FakeAgent, run: Run, file: Path
) -> None:
    file.write_text(f"{DATASET}---\n{LOAD}")
    agent.on("POST", "/v1/apply", [result("data", "failed", "the origin is away")])
    assert run("apply", "-f", str(file)) == (
        exits.FAILED,
        "",
        "meshcache: dataset.data.fluid.io/data: the origin is away\n"
        "meshcache: dataload.data.fluid.io/warm: its dataset is not there\n",
    )
    assert len(agent.asked) == 1


def test_a_load_that_differs_is_started_anew(agent: FakeAgent, run: Run, file: Path) -> None:
    file.write_text(LOAD)
    agent.on("GET", "/v1/loads/warm/spec", {"name": "warm", "dataset": "data", "replicas": 2})
    agent.on("DELETE", "/v1/loads/warm", None)
    agent.on("POST", "/v1/loads", {"name": "warm"})
    assert run("apply", "-f", str(file)).out == "dataload.data.fluid.io/warm configured\n"
    assert [one.method for one in agent.asked] == ["GET", "DELETE", "POST"]


def test_warnings_go_to_stderr_and_stop_nothing(agent: FakeAgent, run: Run, file: Path) -> None:
    file.write_text(f"{DATASET}colour: red\n")
    agent.on("POST", "/v1/apply", [result("data", "created")])
    ran = run("apply", "-f", str(file))
    assert (ran.code, ran.out) == (exits.OK, "dataset.data.fluid.io/data created\n")
    assert ran.err == (
        f"meshcache: warning: {file}:4: Dataset data: colour: meshcache knows no such field\n"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no dataset and no load in"),
        ("a: [", "1: this is no YAML"),
        ("just text", "1: this is no object"),
        ("kind: Pod\napiVersion: v1\n", "there is no dataset and no load in"),
        ("kind: Datset\nname: x", "kind: is Dataset or Load"),
        ("name: x", "kind: is missing"),
        (DATASET.replace("name: data\n", ""), "1: Dataset: name: is missing"),
        (DATASET.replace("data\n", "Data\n"), "'Data' is not a dataset name"),
        (DATASET.replace("['s3://bucket/data']", "[]"), "mounts: list should have at least 1"),
        (DATASET.replace("s3://", "bucket/"), "mounts[0]: an origin's URL begins with"),
        (DATASET.replace("bucket/data", ""), "names no bucket"),
        (DATASET + "options: {endpoint: 'minio:9000'}", "is not an endpoint"),
        (DATASET + "options: [a]", "options: input should be a valid dictionary"),
        (DATASET + "secrets: {access_key: hunter2}", "never the secret"),
        (DATASET + "secrets: {password: 'env:X'}", "'password' is not a secret option"),
        (DATASET + "blockSize: 5 bananas", "'5 bananas' is not a size"),
        (DATASET + "blockSize: 3MiB", "power of two"),
        (DATASET + "replicas: 17", "1 to 16 replicas"),
        (DATASET + "ttl: 5m", "no other policy has one"),
        (DATASET + "name: again", "name is given twice"),
        (LOAD + "rate: fast", "'fast' is not a size"),
        (LOAD + "policy: Cron", "the policy Cron needs a schedule"),
        (LOAD + "replicas: 99", "1 to 16 replicas"),
        (LOAD.replace("dataset: data\n", ""), "dataset: is missing"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_and_nothing_is_asked(
    text: str, says: str, agent: FakeAgent, run: Run, file: Path
) -> None:
    file.write_text(text)
    ran = run("apply", "-f", str(file))
    line = ran.err.splitlines()[-1]
    assert (ran.code, ran.out) == (exits.USAGE, "")
    assert line.startswith("meshcache: ")
    assert says in line
    assert "hunter2" not in ran.err
    assert agent.asked == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["apply"], "give the files: -f FILE"),
        (["apply", "-f", "/no/such/file"], "/no/such/file: No such file"),
        (["get", "pods"], "'pods' is neither dataset nor load"),
        (["delete"], "say what"),
        (["delete", "dataset"], "say what"),
        (["delete", "pod", "x"], "'pod' is neither dataset nor load"),
        (["delete", "dataset", "x", "-f", "file"], "say what"),
    ],
)
def test_a_command_that_cannot_be_is_one_line_and_nothing_is_asked(
    arguments: list[str], says: str, agent: FakeAgent, run: Run
) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (exits.USAGE, "", 1)
    assert says in ran.err
    assert agent.asked == []


def test_what_the_agent_refuses_is_one_line(agent: FakeAgent, run: Run, file: Path) -> None:
    file.write_text(DATASET)
    agent.on("POST", "/v1/apply", InvalidInput("nothing was changed: no --secret-root has it"))
    assert run("apply", "-f", str(file)) == (
        exits.USAGE,
        "",
        "meshcache: nothing was changed: no --secret-root has it\n",
    )


def test_stdin_is_a_file(agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DATASET.encode())))
    agent.on("POST", "/v1/apply", [result("data", "created")])
    assert run("apply", "-f", "-").out == "dataset.data.fluid.io/data created\n"


def test_what_get_shows_is_what_apply_takes(agent: FakeAgent, run: Run, file: Path) -> None:
    given = {
        "kind": "Dataset",
        "name": "data",
        "mounts": [
            "s3://bucket/data",
            {
                "url": "https://host/x",
                "path": "/x",
                "name": "x",
                "options": {"list": "true"},
                "secrets": {"access_key": "env:A"},
            },
        ],
        "options": {"region": "eu"},
        "secrets": {"secret_key": "secret:keys/s"},
        "blockSize": "1MiB",
        "replicas": 2,
        "policy": "ttl",
        "ttl": "90s",
        "refreshEvery": "0.25",
        "namespaces": ["a", "b"],
    }
    file.write_text(yaml.safe_dump(given))
    agent.on("POST", "/v1/apply", [result("data", "created")])
    run("apply", "-f", str(file))
    (wish,) = agent.asked[0].body["datasets"]
    agent.on("GET", "/v1/datasets/data", wish | {"uid": "u", "phase": "Bound", "cached": 5})
    assert yaml.safe_load(run("get", "dataset", "data", "-o", "yaml").out) == given


@pytest.mark.parametrize("word", ["dataset", "datasets", "Dataset", "dataset.data.fluid.io"])
def test_deleting_tells_what_is_not_there_and_goes_on(
    word: str, agent: FakeAgent, run: Run
) -> None:
    agent.on("DELETE", "/v1/datasets/a", DatasetNotFound("no dataset 'a'"))
    agent.on("DELETE", "/v1/datasets/b", DatasetBusy("dataset 'b' is an origin of c"))
    agent.on("DELETE", "/v1/datasets/c", None)
    ran = run("delete", word, "a", "b", "c")
    assert (ran.code, ran.out) == (exits.FAILED, 'dataset.data.fluid.io "c" deleted\n')
    assert ran.err == (
        "meshcache: dataset.data.fluid.io/a: no dataset 'a'\n"
        "meshcache: dataset.data.fluid.io/b: dataset 'b' is an origin of c\n"
    )
    assert run("delete", word, "a", "--ignore-not-found") == (exits.OK, "", "")
