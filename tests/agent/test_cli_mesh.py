"""Commands about the mesh: members, keys, monitor; against a fake agent."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from meshcache.agent.cli import exits
from meshcache.agent.cli import monitor as monitor_module
from meshcache.agent.trust import meshkey
from meshcache.errors import KeyStepTooEarly
from tests.agent.test_cli import MEMBER
from tests.support.commands import Run
from tests.support.fake_agent import FakeAgent

KEY = "0123456789abcdef"
GUEST = MEMBER | {
    "name": "pod-7",
    "role": "guest",
    "leaf": True,
    "zone": "z2",
    "round_trip": None,
    "observers": [],
    "accusers": [],
}


def test_a_wide_list_tells_how_far_a_member_is_and_who_sees_it(agent: FakeAgent, run: Run) -> None:
    agent.on("GET", "/v1/members", [MEMBER, GUEST])
    head, first, second = run("members", "-o", "wide").out.splitlines()
    assert re.findall(r"\S+(?: \S+)*", head)[7:9] == ["ROUND TRIP", "SEEN BY"]
    assert "1.2ms        2/3 (not node-3)   " in first
    assert re.search(r"alive   guest \(leaf\)   z2 +10.00GiB   61m   - +- ", second)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], ["node-1", "node-2", "pod-7"]),
        (["--status", "alive"], ["node-1", "pod-7"]),
        (["--status", "failed", "--status", "left"], ["node-2"]),
        (["--role", "guest"], ["pod-7"]),
        (["--zone", "z2"], ["pod-7"]),
        (["--name", "node-.*"], ["node-1", "node-2"]),
        (["--name", "node"], []),
        (["--name", "node-.*", "--status", "alive"], ["node-1"]),
    ],
)
def test_members_are_filtered_as_serf_filters_them(
    filters: list[str], names: list[str], agent: FakeAgent, run: Run
) -> None:
    failed = MEMBER | {"name": "node-2", "state": "failed"}
    agent.on("GET", "/v1/members", [MEMBER, failed, GUEST])
    shown = json.loads(run("members", *filters, "-o", "json").out)
    assert [member["name"] for member in shown] == names


@pytest.mark.parametrize("wrong", [["--name", "("], ["--status", "dead"], ["--role", "king"]])
def test_a_filter_that_cannot_be_is_a_usage_error(
    wrong: list[str], agent: FakeAgent, run: Run
) -> None:
    agent.on("GET", "/v1/members", [])
    ran = run("members", *wrong)
    assert (ran.code, ran.err.count("\n")) == (exits.USAGE, 1)
    assert wrong[1] in ran.err


def test_keys_are_listed_by_their_ids(agent: FakeAgent, run: Run) -> None:
    keys = [{"id": KEY, "held_by": 4, "used_by": 3}]
    agent.on("GET", "/v1/keys", {"keys": keys, "members": 4, "silent": ["n5"]})
    ran = run("keys", "list")
    assert ran.out.splitlines() == [
        "KEY                HELD BY   IN USE BY",
        "0123456789abcdef   4/4       3/4",
    ]
    assert (ran.code, ran.err) == (1, "meshcache: n5: does not answer\n")


def test_each_step_says_how_many_did_it(agent: FakeAgent, run: Run, tmp_path: Path) -> None:
    step: dict[str, Any] = {"id": KEY, "done": ["n1", "n2", "n3", "n4", "n5"], "failed": {}}
    key, file = meshkey.generate(), tmp_path / "new.key"
    file.write_text(key + "\n")
    agent.on("POST", "/v1/keys", step)
    agent.on("POST", f"/v1/keys/{KEY}/use", step)
    agent.on("DELETE", f"/v1/keys/{KEY}", step)
    assert run("keys", "install", str(file)).out == f"[keys] {KEY} installed on 5/5\n"
    assert run("keys", "use", KEY).out == f"[keys] {KEY} in use by 5/5\n"
    assert run("keys", "remove", KEY).out == f"[keys] {KEY} removed from 5/5\n"
    assert agent.asked[0].body == {"key": key}


def test_who_did_not_do_it_is_named(agent: FakeAgent, run: Run) -> None:
    step = {"id": KEY, "done": ["n1"], "failed": {"n2": "does not answer", "n3": "has 8 keys"}}
    agent.on("DELETE", f"/v1/keys/{KEY}", step)
    ran = run("keys", "remove", KEY)
    assert (ran.code, ran.out) == (1, f"[keys] {KEY} removed from 1/3\n")
    assert ran.err == "meshcache: n2: does not answer\nmeshcache: n3: has 8 keys\n"


def test_a_step_that_comes_too_early_is_one_line(agent: FakeAgent, run: Run) -> None:
    error = KeyStepTooEarly(f"key {KEY}: n2 does not hold it; nothing was changed")
    agent.on("POST", f"/v1/keys/{KEY}/use", error)
    ran = run("keys", "use", KEY)
    assert (ran.code, ran.out, ran.err) == (1, "", f"meshcache: {error}\n")


def test_a_key_may_come_from_stdin_and_must_be_one(
    agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.on("POST", "/v1/keys", {"id": KEY, "done": ["n1"], "failed": {}})
    for text, code in ((meshkey.generate(), 0), (f"{meshkey.generate()}\n{meshkey.generate()}", 2)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert run("keys", "install", "-").code == code
    assert run("keys", "install", "/no/such/file").code == 2


BEGIN = {"kind": "begin", "name": "node-1"}
FAILED = {
    "time": 1.5,
    "kind": "member",
    "event": "failed",
    "name": "n2",
    "uid": "u2",
    "gossip": "h:1",
    "role": "cache",
    "zone": "",
}


def stream(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the command waited before it asked again; the second time it is stopped."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(monitor_module, "sleep", sleep)
    return waited


@pytest.mark.usefixtures("waits")
def test_the_monitor_prints_a_line_for_each_event_and_says_why_it_was_cut_off(
    agent: FakeAgent, run: Run
) -> None:
    end = {"kind": "end", "detail": "cut off: too slow"}
    agent.on("GET", "/v1/events", stream(BEGIN, FAILED, end), stream(BEGIN))
    ran = run("monitor", "--events", "member,map")
    assert ran.out == (
        "1970-01-01T00:00:01.500Z  member-failed   n2  uid=u2  gossip=h:1  role=cache\n"
    )
    assert ran.err.splitlines() == [
        "meshcache: cut off: too slow; trying again, and what happens meanwhile is not seen",
        "meshcache: node-1 answers again",
        "meshcache: the agent ended the stream; trying again, and what happens meanwhile is not "
        "seen",
    ]
    assert ran.code == exits.INTERRUPTED
    assert agent.asked[0].target == "/v1/events?kinds=member,map"


@pytest.mark.usefixtures("waits")
def test_the_monitor_gives_one_json_object_a_line(agent: FakeAgent, run: Run) -> None:
    agent.on("GET", "/v1/events", stream(BEGIN, FAILED))
    lines = run("monitor", "-o", "json").out.splitlines()
    assert [json.loads(line) for line in lines] == [FAILED, FAILED]


def test_a_kind_of_event_that_there_is_not_is_a_usage_error(agent: FakeAgent, run: Run) -> None:
    ran = run("monitor", "--events", "member,weather")
    assert ran.code == exits.USAGE
    assert "'weather' is not one of member, view, map, keys, event" in ran.err


def test_a_monitor_that_nobody_answers_fails_at_once(run: Run, tmp_path: Path) -> None:
    ran = run("monitor", "--socket", str(tmp_path / "none"))
    assert (ran.code, ran.err.count("\n")) == (1, 1)
