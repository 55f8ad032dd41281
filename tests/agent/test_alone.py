"""Whom a classic sidecar waits for."""

import os
import subprocess
import sys

from meshcache.agent.mounts.alone import Seen, look, others

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
