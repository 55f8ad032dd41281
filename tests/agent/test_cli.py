"""Commands, called in this process, against a fake agent on a socket."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshcache.agent.cli import COMMANDS, exits, main
from meshcache.agent.cli.exits import EXITS, exit_of
from meshcache.errors import (
    BY_NAME,
    DatasetNotFound,
    InvalidInput,
    NotADirectory,
    OriginUnreachable,
)
from meshcache.units import GIB, MIB
from tests.support.commands import Run
from tests.support.fake_agent import FakeAgent

READS: dict[str, Any] = {
    "read": 4 * GIB,
    "local": 3 * GIB,
    "remote": GIB // 2,
    "origin": GIB // 2,
    "fetched": GIB,
    "loaded": GIB // 4,
    "saved": 3 * GIB,
    "hit_ratio": 0.875,
    "local_ratio": 0.75,
    "remote_ratio": 0.125,
    "origin_ratio": 0.125,
}
DATASET: dict[str, Any] = {
    "name": "models",
    "phase": "Bound",
    "ufs_total": 593715527,
    "files": 12,
    "skipped": 0,
    "cached": 593715527,
    "cache_capacity": 40 * GIB,
    "cached_percentage": 100.0,
    "reads": READS,
    "created": 0.0,
    "snapshot": "ab" * 32,
    "listed": 0.0,
    "mounts": [{"url": "s3://b/p", "path": "/"}, {"url": "s3://c", "path": "/c"}],
    "options": {"region": "eu"},
    "secret_options": {"access_key": "env:A"},
    "block_size": 4 * MIB,
    "replicas": 1,
}
MEMBER: dict[str, Any] = {
    "name": "node-1",
    "uid": "u1",
    "state": "alive",
    "role": "cache",
    "zone": "",
    "address": "10.0.0.1:7440",
    "gossip": "10.0.0.1:7441",
    "capacity": 10 * GIB,
    "incarnation": 3,
    "age": 3700.0,
    "leaf": False,
    "round_trip": 0.00123,
    "observers": ["node-2", "node-3", "node-4"],
    "accusers": ["node-3"],
    "version": "0.1.0",
}
STATUS: dict[str, Any] = {
    "name": "node-1",
    "uid": "u1",
    "version": "0.1.0",
    "role": "cache",
    "zone": "a",
    "uptime": 60.0,
    "address": "10.0.0.1:7440",
    "gossip": "10.0.0.1:7441",
    "socket": "/run/meshcache/agent.sock",
    "members": {"alive": 3, "suspect": 0, "failed": 1, "left": 0},
    "store": {"path": "/c", "quota": GIB, "used": 512 * MIB, "blocks": 128, "evictions": 7},
    "reads": {"store": 3 * MIB, "peer": MIB, "origin": 0},
    "mounts": [
        {
            "id": "1",
            "dataset": "models",
            "mountpoint": "/mnt",
            "pid": 7,
            "workers": {"state": "serving", "restarts": 0},
        }
    ],
    "datasets": 1,
    "held": [
        {
            "name": "models",
            "held": GIB,
            "percentage": 25.0,
            "store": 3 * MIB,
            "peer": MIB,
            "origin": 0,
            "given": 2 * MIB,
            "fetched": 4 * MIB,
        }
    ],
}
LOCALITY: dict[str, Any] = {
    "dataset": "models",
    "path": "/",
    "snapshot": "ab" * 32,
    "bytes": 4 * GIB,
    "members": [
        {
            "name": "node-2",
            "zone": "b",
            "address": "10.0.0.2:7440",
            "store": "s2",
            "bytes": 3 * GIB,
            "percentage": 75.0,
        },
        {
            "name": "node-1",
            "zone": "",
            "address": "10.0.0.1:7440",
            "store": "s1",
            "bytes": GIB,
            "percentage": 25.0,
        },
    ],
    "exact": None,
}


def test_datasets_are_listed_in_fluids_columns(agent: FakeAgent, run: Run) -> None:
    unbound = DATASET | {
        "name": "new",
        "phase": "NotBound",
        "ufs_total": None,
        "cached": 0,
        "cached_percentage": 0.0,
    }
    now = time.time()
    agent.on(
        "GET",
        "/v1/datasets",
        [DATASET | {"created": now - 7200.0}, unbound | {"created": now - 5}],
    )
    table = run("dataset", "list").out.splitlines()
    assert [line.split("   ")[0] for line in table] == ["NAME", "models", "new"]
    assert table[0].split(maxsplit=1)[1] == (
        "UFS TOTAL SIZE   CACHED      CACHE CAPACITY   CACHED PERCENTAGE   PHASE      AGE"
    )
    assert re.split("   +", table[1])[1:5] == ["566.21MiB", "566.21MiB", "40.00GiB", "100.0%"]
    assert re.split("   +", table[2])[1:6] == [
        "[Calculating]",
        "0B",
        "40.00GiB",
        "0.0%",
        "NotBound",
    ]
    starts = {line.rindex(cell) for line, cell in zip(table, ["AGE", "120m", "5s"], strict=True)}
    assert len(starts) == 1


def test_a_wide_table_has_more_columns(agent: FakeAgent, run: Run) -> None:
    agent.on("GET", "/v1/datasets", [DATASET])
    head, row = run("dataset", "list", "-o", "wide").out.splitlines()
    assert re.split("   +", head)[7:] == [
        *("TOTAL FILES", "CACHE HIT RATIO", "LOCAL", "REMOTE", "ORIGIN", "BYTES SAVED"),
        *("BLOCK SIZE", "REPLICAS", "MOUNTS", "SNAPSHOT"),
    ]
    assert re.split("   +", row)[7:] == [
        *("12", "87.5%", "75.0%", "12.5%", "12.5%", "3.00GiB"),
        *("4.00MiB", "1", "s3://b/p,/c=s3://c", "abababababab"),
    ]


def test_what_is_not_known_yet_is_said_in_fluids_words(agent: FakeAgent, run: Run) -> None:
    ratios = {f"{name}_ratio": None for name in ("hit", "local", "remote", "origin")}
    unread = READS | dict.fromkeys(("read", "local", "remote", "origin", "saved"), 0) | ratios
    new = DATASET | {"cached": None, "cached_percentage": None, "reads": unread}
    agent.on("GET", "/v1/datasets", [new])
    agent.on("GET", "/v1/datasets/models", new)
    row = re.split("   +", run("dataset", "list", "-o", "wide").out.splitlines()[1])
    assert (row[2], row[4], row[8:12]) == ("[Calculating]", "[Calculating]", ["N/A"] * 4)
    out = run("dataset", "show", "models").out
    assert "Read:           nothing was read yet\n" in out
    assert "Cached:         [Calculating] ([Calculating])\n" in out


def test_an_exact_count_says_how_many_answered(agent: FakeAgent, run: Run) -> None:
    exact = DATASET | {"exact": {"asked": 3, "answered": 2}}
    agent.on("GET", "/v1/datasets", [exact])
    agent.on("GET", "/v1/datasets/models", exact)
    for command in (("list",), ("show", "models")):
        ran = run("dataset", *command, "--exact")
        assert ran.err == "models: 2 of 3 members answered\n"
        assert "566.21MiB" in ran.out
    assert [asked.target for asked in agent.asked] == [
        "/v1/datasets?exact=1",
        "/v1/datasets/models?exact=1",
    ]


def test_the_nodes_that_hold_a_dataset_are_listed(agent: FakeAgent, run: Run) -> None:
    agent.on("GET", "/v1/datasets/models/locality", LOCALITY)
    assert run("locality", "models").out.splitlines() == [
        "NODE     ZONE   HELD      PERCENTAGE",
        "node-2   b      3.00GiB   75.0%",
        "node-1   -      1.00GiB   25.0%",
    ]
    assert json.loads(run("locality", "models", "-o", "json").out) == LOCALITY
    run("locality", "models", "--path", "/a b")
    run("locality", "models", "--exact")
    assert [asked.target.partition("?")[2] for asked in agent.asked] == [
        *("", "", "path=%2Fa%20b", "exact=1")
    ]


def test_that_nobody_holds_a_dataset_is_said(agent: FakeAgent, run: Run) -> None:
    exact = {"asked": 2, "answered": 2}
    agent.on("GET", "/v1/datasets/models/locality", LOCALITY | {"members": [], "exact": exact})
    ran = run("locality", "models", "--exact")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "no member holds any of models\nmodels: 2 of 2 members answered\n"


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_json_and_yaml_are_what_the_agent_said(
    form: str, read: Callable[[str], Any], agent: FakeAgent, run: Run
) -> None:
    agent.on("GET", "/v1/datasets", [DATASET])
    agent.on("GET", "/v1/datasets/models", DATASET)
    agent.on("GET", "/v1/members", [])
    agent.on("GET", "/v1/status", STATUS)
    assert read(run("dataset", "list", "-o", form).out) == [DATASET]
    assert read(run("dataset", "show", "models", "-o", form).out) == DATASET
    assert read(run("members", "-o", form).out) == []
    assert read(run("status", "-o", form).out) == STATUS


def test_an_empty_list_is_no_table(agent: FakeAgent, run: Run) -> None:
    agent.on("GET", "/v1/datasets", [])
    ran = run("dataset", "list")
    assert ran == (0, "", "no datasets: make one by `meshcache dataset create NAME URL`\n")


def test_members_are_listed(agent: FakeAgent, run: Run) -> None:
    agent.on("GET", "/v1/members", [MEMBER, MEMBER | {"name": "n2", "state": "failed", "age": 5}])
    assert run("members").out.splitlines() == [
        "NAME     ADDRESS         STATE    ROLE    ZONE   CAPACITY   AGE",
        "node-1   10.0.0.1:7440   alive    cache   -      10.00GiB   61m",
        "n2       10.0.0.1:7440   failed   cache   -      10.00GiB   5s",
    ]


def test_the_status_is_one_screen(agent: FakeAgent, run: Run) -> None:
    agent.on("GET", "/v1/status", STATUS)
    out = run("status").out
    assert "Members:         3 alive, 1 failed\n" in out
    assert "512.00MiB of 1.00GiB (50.0%) in 128 blocks, 7 evicted, at /c" in out
    assert "store 3.00MiB (75.0%), peer 1.00MiB (25.0%), origin 0B (0.0%)" in out
    assert "models at /mnt (pid 7)" in out
    assert out.splitlines()[-2:] == [
        "DATASET   HELD HERE   PERCENTAGE   FROM STORE   FROM PEERS   FROM ORIGIN   "
        "GIVEN TO PEERS   ASKED OF ORIGIN",
        "models    1.00GiB     25.0%        3.00MiB      1.00MiB      0B            "
        "2.00MiB          4.00MiB",
    ]


def test_a_dataset_is_shown_whole(agent: FakeAgent, run: Run) -> None:
    agent.on("GET", "/v1/datasets/models", DATASET)
    out = run("dataset", "show", "models").out
    assert "Mounts:         s3://b/p\n                /c=s3://c\n" in out
    assert "Secret options: access_key=env:A\n" in out
    assert (
        "Read:           local 3.00GiB (75.0%), remote 512.00MiB (12.5%), "
        "origin 512.00MiB (12.5%): hit ratio 87.5%\n"
        "Bytes saved:    3.00GiB (readers had 4.00GiB, the origin sent 1.00GiB, "
        "256.00MiB of it for loads)\n"
    ) in out


def test_a_dataset_is_created_of_all_that_was_given(agent: FakeAgent, run: Run) -> None:
    agent.on("POST", "/v1/datasets", DATASET | {"skipped": 3})
    ran = run(
        *("dataset", "create", "models", "s3://b/p", "--mount", "/c=https://h/x?a=b"),
        *("--option", "region=eu", "--option", "endpoint=http://e:1/?x=y"),
        *("--secret-option", "access_key=env:A", "--secret-option", "secret_key=file:/k"),
        *("--block-size", "8MiB", "--replicas", "2"),
    )
    assert ran == (0, "dataset models created: 12 files, 566.21MiB, 3 keys skipped\n", "")
    assert agent.asked[0].body == {
        "name": "models",
        "mounts": [
            {"url": "s3://b/p", "path": "/"},
            {"url": "https://h/x?a=b", "path": "/c"},
        ],
        "options": {"region": "eu", "endpoint": "http://e:1/?x=y"},
        "secret_options": {"access_key": "env:A", "secret_key": "file:/k"},
        "block_size": 8 * MIB,
        "replicas": 2,
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["x"], "a dataset needs an origin: give a URL, or --mount PATH=URL"),
        (
            ["x", "s3://b", "--option", "region"],
            "--option 'region' cannot be read: write KEY=VALUE",
        ),
        (["x", "s3://b", "--mount", "s3://c"], "--mount 's3://c' cannot be read: write PATH=URL"),
        (["x", "s3://b", "--option", "a=1", "--option", "a=2"], "--option a is given twice"),
        (["x", "s3://b", "--block-size", "big"], "'big' is not a size"),
        (["x", "s3://b", "--secret-option", "secret_key=hunter2"], "write secret_key=file:PATH"),
    ],
)
def test_a_dataset_that_cannot_be_is_a_usage_error_and_never_asked_for(
    arguments: list[str], says: str, agent: FakeAgent, run: Run
) -> None:
    ran = run("dataset", "create", *arguments)
    assert (ran.code, ran.out) == (exits.USAGE, "")
    assert says in ran.err
    assert "hunter2" not in ran.err
    assert not agent.asked


def test_datasets_are_deleted_and_refreshed_by_name(agent: FakeAgent, run: Run) -> None:
    agent.on("DELETE", "/v1/datasets/a", None)
    agent.on("DELETE", "/v1/datasets/b", DatasetNotFound("no dataset 'b'"))
    agent.on("POST", "/v1/datasets/models/refresh", DATASET)
    ran = run("dataset", "delete", "a", "b")
    assert ran == (1, "dataset a deleted\n", "meshcache: no dataset 'b'\n")
    out = run("dataset", "refresh", "models").out
    assert out == "dataset models refreshed: 12 files, 566.21MiB\n"


def test_a_directory_is_listed_as_ls_does(agent: FakeAgent, run: Run) -> None:
    old = int(time.mktime((2020, 5, 17, 10, 0, 0, 0, 0, -1))) * 10**9
    agent.on(
        "GET",
        "/v1/datasets/models/entries/a b",
        [
            {"name": "sub", "type": "dir", "size": 0, "mtime_ns": old},
            {"name": "w\x1b[31m.bin", "type": "file", "size": 1536, "mtime_ns": old},
        ],
    )
    assert run("ls", "models", "/a b").out.splitlines() == [
        "dr-xr-xr-x       - May 17  2020 sub/",
        "-r--r--r-- 1.50KiB May 17  2020 w?[31m.bin",
    ]
    assert "-r--r--r-- 1536 May" in run("ls", "models", "a b", "-o", "wide").out


def test_a_file_is_written_to_stdout_byte_for_byte(
    agent: FakeAgent, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    data = bytes(range(256)) * 10_000
    agent.on("GET", "/v1/datasets/models/files/f", data)
    assert main(["cat", "models", "f"]) == 0
    assert capfdbinary.readouterr().out == data


def test_a_token_is_all_that_is_printed(agent: FakeAgent, run: Run) -> None:
    agent.on("POST", "/v1/tokens", {"token": "mct1.a.b", "expires": 1})
    assert run("token", "--dataset", "models", "--ttl", "1h30m") == (0, "mct1.a.b\n", "")
    assert agent.asked[0].body == {"dataset": "models", "ttl": 5400.0}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DatasetNotFound("no dataset 'x'"), 1),
        (OriginUnreachable("http://h:1: connection refused"), 1),
        (NotADirectory("a is a file"), 1),
        (InvalidInput("'s4://x' is not a URL"), 2),
    ],
)
def test_what_the_agent_refuses_is_one_line_and_an_exit_code(
    error: Exception, code: int, agent: FakeAgent, run: Run
) -> None:
    agent.on("POST", "/v1/datasets", error)
    ran = run("dataset", "create", "x", "s4://x")
    assert ran == (code, "", f"meshcache: {error}\n")


def test_a_message_of_several_lines_is_one_line(agent: FakeAgent, run: Run) -> None:
    agent.on("GET", "/v1/status", OriginUnreachable("a\n  b\x1b[0m"))
    assert run("status").err == "meshcache: a b?[0m\n"


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_error_has_an_exit_code(name: str) -> None:
    assert exit_of(BY_NAME[name]("x")) in (exits.FAILED, exits.USAGE)
    assert set(EXITS) <= set(BY_NAME.values())


def test_an_agent_that_is_not_there_is_named_with_what_to_do(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHCACHE_SOCKET", "/nowhere/agent.sock")
    ran = run("members")
    assert ran.code == 1
    assert ran.err == (
        "meshcache: no agent answers at /nowhere/agent.sock: start one by `meshcache agent`, or "
        "name another by --socket or --agent\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--socket", "SOCKET", "members"],
        ["--socket=SOCKET", "members"],
        ["members", "--socket", "SOCKET"],
        ["--socket", "/nowhere", "members", "--socket", "SOCKET"],
    ],
)
def test_the_agent_may_be_named_before_and_after_the_command(
    arguments: list[str], agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHCACHE_SOCKET", "/nowhere/agent.sock")
    agent.on("GET", "/v1/members", [MEMBER])
    given = [argument.replace("SOCKET", str(agent.socket)) for argument in arguments]
    assert run(*given).code == 0


def test_two_agents_cannot_be_named(agent: FakeAgent, run: Run) -> None:
    for arguments in (
        ["members", "--socket", "/a", "--agent", "b"],
        ["--socket", "/a", "--agent", "b", "members"],
    ):
        ran = run(*arguments)
        assert (ran.code, "give one of them" in ran.err) == (exits.USAGE, True)


def test_another_agent_is_asked_with_proof_of_the_key(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bytes(range(32))
    file = tmp_path / "mesh.key"
    file.write_text(key.hex())
    file.chmod(0o600)
    with FakeAgent(mesh_key=key) as remote:
        remote.on("GET", "/v1/members", [MEMBER])
        flags = ["--agent", remote.address, "--mesh-key-file", str(file)]
        assert run("members", *flags).code == 0
        assert run(*flags, "members").code == 0
        ran = run("members", "--agent", remote.address)
        assert ran.err.endswith("give --mesh-key-file\n")
        monkeypatch.setenv("MESHCACHE_AGENT", remote.address)
        monkeypatch.setenv("MESHCACHE_MESH_KEY_FILE", str(file))
        assert run("members").code == 0
        file.chmod(0o644)
        assert "can be read by everyone" in run("members").err


def test_a_missing_key_file_is_a_usage_error(run: Run) -> None:
    ran = run("members", "--agent", "h", "--mesh-key-file", "/nowhere/key")
    assert ran == (2, "", "meshcache: mesh key file /nowhere/key: No such file or directory\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["memers"], "No such command 'memers'. Did you mean 'members'? (see meshcache --help)"),
        (["members", "--foo"], "No such option: --foo (see meshcache members --help)"),
        (["members", "x"], "(see meshcache members --help)"),
        (["cat", "x"], "Missing argument 'PATH' (see meshcache cat --help)"),
        (["dataset", "lst"], "Did you mean 'list'? (see meshcache dataset --help)"),
        (["members", "-o", "xml"], "'xml' is not one of 'table', 'wide', 'json', 'yaml'"),
        (["token", "--dataset", "x", "--ttl", "soon"], "'soon' is not a duration"),
        (["--socket"], "Option '--socket' requires an argument"),
        (["mount", "x", "/mnt", "--agent", "h"], "a mount needs an agent on this machine"),
        (["mount", "x", "/mnt", "--log-level", "loud"], "--log-level is debug, info"),
        (["agent", "--cache-size", "10XB"], "--cache-size: '10XB' is not a size: write bytes"),
        (["agent", "--listen", ":7440"], "is beyond loopback, which needs --mesh-key-file"),
        (["agent", "--config", "/nowhere.yaml"], "configuration /nowhere.yaml: No such file"),
        (["agent", "--role", "x"], "--role: 'x' cannot be: input should be 'cache' or 'guest'"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(
    arguments: list[str], says: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHCACHE_SOCKET", "/nowhere/agent.sock")
    ran = run(*arguments)
    assert (ran.code, ran.out) == (exits.USAGE, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("meshcache: ")


def test_an_error_of_our_own_making_is_one_line_too(
    run: Run, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.on("GET", "/v1/members", [{"unexpected": 1}])
    ran = run("members")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "MESHCACHE_DEBUG=1 shows where" in ran.err
    monkeypatch.setenv("MESHCACHE_DEBUG", "1")
    with pytest.raises(KeyError):
        run("members")


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(command: str, run: Run) -> None:
    ran = run(command, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: meshcache {command}")


def test_the_help_without_a_command_lists_them_all(run: Run) -> None:
    assert all(f"\n  {command} " in run("--help").out for command in COMMANDS)
    ran = run()
    assert (ran.code, "Commands:" in ran.err) == (exits.USAGE, True)


def test_a_key_is_made_for_stdout_or_for_a_new_file(run: Run, tmp_path: Path) -> None:
    assert len(bytes.fromhex(run("keys", "generate").out)) == 32
    file = tmp_path / "mesh.key"
    assert run("keys", "generate", str(file)) == (0, "", "")
    assert file.stat().st_mode & 0o777 == 0o600
    ran = run("keys", "generate", str(file))
    assert (ran.code, ran.err) == (2, f"meshcache: {file} is there already: it was left as it is\n")
    assert run("keys", "generate", "/nowhere/key").code == 2


def test_a_mountpoint_without_a_mount_is_told(run: Run, tmp_path: Path) -> None:
    ran = run("umount", str(tmp_path))
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert str(tmp_path) in ran.err
