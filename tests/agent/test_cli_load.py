"""``meshcache load`` and ``meshcache loads``, against a fake agent."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from meshcache.agent.cli import exits
from meshcache.units import MIB
from tests.support.commands import Run
from tests.support.fake_agent import FakeAgent


def load_of(phase: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "l1",
        "dataset": "models",
        "phase": phase,
        "message": "",
        "policy": "Once",
        "schedule": "",
        "run_after": "",
        "metadata_only": False,
        "created": time.time() - 60,
        "next_run": None,
        "succeeded": 0.0,
        "duration": 2.0,
        "files": 1,
        "blocks": 16,
        "blocks_done": 0,
        "bytes": 64 * MIB,
        "bytes_done": 0,
        "fetched": 64 * MIB,
        "failed": 0,
        "percentage": 0.0,
        "rate": 0.0,
        "eta": None,
        "members": [],
    } | more


def test_a_load_is_started_of_all_that_was_given(
    agent: FakeAgent, run: Run, tmp_path: Path
) -> None:
    listed = tmp_path / "list"
    listed.write_text("x/1\n\nx/2\r\n")
    agent.on("POST", "/v1/loads", load_of("Pending"))
    ran = run(
        *("load", "models", "a", "b/*.bin", "--exclude", "*.tmp", "-f", str(listed)),
        *("--replicas", "2", "--zone", "z", "--node", "n1", "--node", "n2", "--all"),
        *("--rate", "100MiB", "--name", "l1", "--ttl", "1h"),
    )
    assert ran == (0, "load l1 of models started\n", "")
    assert agent.asked[0].body == {
        "dataset": "models",
        "paths": ["a", "b/*.bin"],
        "exclude": ["*.tmp"],
        "files": ["x/1", "x/2"],
        "metadata_only": False,
        "replicas": 2,
        "zones": ["z"],
        "nodes": ["n1", "n2"],
        "all": True,
        "rate": 100 * MIB,
        "name": "l1",
        "schedule": "",
        "policy": "Once",
        "run_after": "",
        "ttl": 3600.0,
        "dry_run": False,
    }


def test_a_schedule_and_another_load_make_the_policy(agent: FakeAgent, run: Run) -> None:
    agent.on(
        "POST",
        "/v1/loads",
        load_of("Pending", schedule="0 3 * * *"),
        load_of("Pending", run_after="l0", message="waits for load 'l0'"),
    )
    out = run("load", "models", "--schedule", "0 3 * * *").out
    assert out == "load l1 of models runs by its schedule '0 3 * * *' (UTC)\n"
    assert run("load", "models", "--run-after", "l0").out == (
        "load l1 of models waits for load 'l0'\n"
    )
    assert [asked.body["policy"] for asked in agent.asked] == ["Cron", "OnEvent"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["models", "--check", "--wait"], "give one of them"),
        (["models", "--dry-run", "--wait"], "give one of them"),
        (["models", "--replicas", "0"], "--replicas 0 cannot be"),
        (["models", "--rate", "fast"], "'fast' is not a size"),
        (["models", "--ttl", "soon"], "'soon' is not a duration"),
        (["models", "-f", "/no/such/list"], "/no/such/list: No such file"),
        (["models", b"a\xff".decode("utf-8", "surrogateescape")], "not UTF-8"),
        (["cancel"], "takes the names of loads"),
    ],
)
def test_what_cannot_be_is_one_line_and_never_asked_for(
    arguments: list[str], says: str, agent: FakeAgent, run: Run
) -> None:
    ran = run("load", *arguments)
    assert ran.code in (exits.USAGE, exits.FAILED)
    assert ran.out == ""
    assert says in ran.err
    assert not agent.asked


def test_a_load_is_waited_for(agent: FakeAgent, run: Run) -> None:
    agent.on("POST", "/v1/loads", load_of("Executing"))
    agent.on("GET", "/v1/loads/l1", load_of("Executing", bytes_done=1), load_of("Complete"))
    ran = run("load", "models", "--wait")
    assert ran == (0, "loaded 64.00MiB in 2.0 s: 64.00MiB fetched (32.00MiB/s)\n", "")


def test_a_load_of_the_listing_alone_says_so(agent: FakeAgent, run: Run) -> None:
    agent.on("POST", "/v1/loads", load_of("Executing"))
    agent.on("GET", "/v1/loads/l1", load_of("Complete", metadata_only=True, files=29))
    out = run("load", "models", "--metadata-only", "--wait").out
    assert out == "the listing of 29 files is at every member\n"


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        (
            load_of("Failed", failed=3, message="s3://b: 503"),
            "load l1 failed: 3 of 16 blocks: s3://b: 503",
        ),
        (load_of("Cancelled"), "load l1 was cancelled"),
    ],
)
def test_a_load_that_did_not_complete_is_an_error(
    ended: dict[str, Any], says: str, agent: FakeAgent, run: Run
) -> None:
    agent.on("POST", "/v1/loads", load_of("Executing"))
    agent.on("GET", "/v1/loads/l1", ended)
    assert run("load", "models", "--wait") == (exits.FAILED, "", f"meshcache: {says}\n")
    assert json.loads(run("load", "models", "--wait", "-o", "json").out) == ended


def test_a_check_says_what_is_lacking_by_its_exit_code(agent: FakeAgent, run: Run) -> None:
    check: dict[str, Any] = {"complete": True, "files": 2, "files_lacking": 0}
    check |= {"percentage": 100.0, "bytes": 8 * MIB, "bytes_done": 8 * MIB, "lacking": []}
    lacks = check | {"complete": False, "files_lacking": 5, "percentage": 99.99}
    lacks |= {"lacking": [{"path": "a/b", "bytes": MIB}]}
    agent.on("POST", "/v1/loads/check", check, lacks)
    assert run("load", "models", "--check") == (
        0,
        "100% is loaded: 8.00MiB of 8.00MiB, 2 files\n",
        "",
    )
    ran = run("load", "models", "--check")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines() == [
        "99.9% is loaded: 8.00MiB of 8.00MiB, 2 files",
        "LACKS     PATH",
        "1.00MiB   a/b",
        "and 4 more files",
    ]


def test_a_dry_run_says_what_each_member_would_do(agent: FakeAgent, run: Run) -> None:
    member = {"name": "n1", "zone": "", "blocks": 3, "bytes": 3 * MIB, "to_fetch": MIB}
    member |= {"room": 0, "fits": False, "answers": True}
    plan = {"files": 2, "blocks": 3, "bytes": 3 * MIB, "to_fetch": MIB, "from_origin": 0}
    agent.on("POST", "/v1/loads", plan | {"fits": False, "members": [member]})
    assert run("load", "models", "--dry-run").out.splitlines() == [
        "2 files, 3 blocks, 3.00MiB: 1.00MiB to fetch, 0B of it from the origin; does not fit",
        "MEMBER   ZONE   BLOCKS   BYTES     TO FETCH   ROOM   FITS",
        "n1       -      3        3.00MiB   1.00MiB    0B     no",
    ]


def test_loads_are_listed_in_fluids_columns_and_ours(agent: FakeAgent, run: Run) -> None:
    agent.on(
        "GET",
        "/v1/loads",
        [
            load_of("Complete", percentage=100.0),
            load_of("Executing", name="l2", percentage=50.0, eta=90.0),
        ],
    )
    assert run("loads").out.splitlines() == [
        "NAME   DATASET   PHASE       AGE   DURATION   BYTES      %        ETA",
        "l1     models    Complete    60s   2s         64.00MiB   100.0%   -",
        "l2     models    Executing   60s   2s         64.00MiB   50.0%    90s",
    ]
    agent.on("GET", "/v1/loads", [])
    assert run("loads") == (0, "", "no loads: start one by `meshcache load DATASET`\n")


def test_one_load_is_shown_by_member(agent: FakeAgent, run: Run) -> None:
    member = {"name": "n1", "phase": "Executing", "duration": 3.0, "blocks": 4, "blocks_done": 1}
    member |= {"bytes": 4 * MIB, "bytes_done": MIB, "fetched": MIB, "failed": 0, "message": ""}
    agent.on("GET", "/v1/loads/l1", load_of("Executing", members=[member]))
    out = run("loads", "l1").out
    assert "Phase:        Executing\n" in out
    assert out.splitlines()[-2:] == [
        "MEMBER   PHASE       DURATION   BLOCKS   BYTES     DONE      FETCHED   FAILED",
        "n1       Executing   3s         1/4      4.00MiB   1.00MiB   1.00MiB   0",
    ]


def test_loads_are_cancelled_and_deleted_by_name(agent: FakeAgent, run: Run) -> None:
    agent.on("POST", "/v1/loads/l1/cancel", load_of("Cancelled"))
    agent.on("DELETE", "/v1/loads/l1", None)
    assert run("load", "cancel", "l1").out == "load l1 is Cancelled\n"
    assert run("load", "delete", "l1").out == "load l1 deleted\n"
