"""Whom a classic sidecar waits for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshcache.agent.cli.alone import Seen, look, others
from tests.support.agents import environment

GUEST = ("meshcache", "mount", "--guest", "models", "/m")


def test_a_program_of_the_app_is_company() -> None:
    assert others({1: Seen(0, ("/pause",)), 7: Seen(0, GUEST), 9: Seen(0, ("python",))}, 7) == {9}


def test_the_pods_first_process_and_our_own_children_are_none() -> None:
    pod = {
        1: Seen(0, ("/pause",)),
        7: Seen(0, GUEST),
        8: Seen(7, ("meshcache", "agent")),
        9: Seen(8, ("helper",)),
    }
    assert others(pod, 7) == set()


def test_another_sidecar_and_what_it_started_is_none() -> None:
    pod = {1: Seen(0, ("/pause",)), 7: Seen(0, GUEST), 20: Seen(0, GUEST), 21: Seen(20, ("w",))}
    assert others(pod, 7) == set()


def test_what_runs_in_the_containers_of_sidecars_is_none() -> None:
    http = ("meshcache", "agent", "--until-alone=3", "--role=guest")
    pod = {
        1: Seen(0, ("/pause",)),
        7: Seen(0, GUEST, "ours"),
        8: Seen(0, ("sh", "-c", "ls"), "ours"),  # a probe, which the runtime starts
        20: Seen(0, http, "other"),
        21: Seen(0, ("meshcache", "ls"), "other"),
        30: Seen(0, ("python",), "the app's"),
        31: Seen(0, ("python",)),  # of another user
    }
    assert others(pod, 7) == {30, 31}
    del pod[30], pod[31]
    assert others(pod, 7) == set()


def test_without_a_container_of_its_own_all_programs_are_company() -> None:
    machine = {1: Seen(0, ("init",), "m"), 7: Seen(1, GUEST, "m"), 9: Seen(1, ("python",), "m")}
    assert others(machine, 7) == {9}


POD = """
{ until test -S agent.sock; do sleep 0.1; done; sleep 1.5; } &
unshare --mount "$PYTHON" -m meshcache.agent.cli agent --until-alone=1 --socket "$PWD/agent.sock" \
    --listen 127.0.0.1:0 --gossip 127.0.0.1:0 --cache-dir "$PWD/cache" --cache-size 64MiB
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, for namespaces")
def test_an_agent_ends_when_the_app_has_ended(tmp_path: Path) -> None:
    command = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", POD)
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(PYTHON=sys.executable),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "is ready" in ended.stdout


def test_a_process_that_has_ended_and_was_not_reaped_is_none() -> None:
    assert others({1: Seen(0, ("/pause",)), 7: Seen(0, GUEST), 9: Seen(1, ())}, 7) == set()


def test_the_processes_of_this_machine_are_seen_with_parent_and_command() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        seen = look()[child.pid]
    finally:
        child.communicate()
    assert seen.parent == os.getpid()
    assert seen.command[1:] == ("-c", "input()")
