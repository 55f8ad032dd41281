"""What a worker cannot do."""

import json
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meshcache.fuse import sandbox
from tests.fuse.conftest import Mount
from tests.fuse.mounts import outside

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up being root")

CONFINED = """
import json, os, signal, socket, sys
from meshcache.fuse import sandbox

before, port = int(sys.argv[1]), int(sys.argv[2])
if before:
    os.setgroups([])
    os.setresgid(before, before, before)
    os.setresuid(before, before, before)
client = socket.socket()
kept = open("/etc/passwd")
status = open("/proc/self/status")
confined = sandbox.enter(61234)

def can(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return True

def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

def run():
    os.execv("/bin/true", ["true"])

print(json.dumps({
    "taken": confined.taken,
    "missed": confined.missed,
    "open": can(lambda: open("/etc/passwd")),
    "list": can(lambda: os.listdir("/")),
    "make": can(lambda: os.mkdir("/new")),
    "connect": can(lambda: client.connect(("127.0.0.1", port))),
    "kill": can(lambda: os.kill(os.getppid(), 0)),
    "fork": can(fork),
    "run": can(run),
    "kept": len(kept.read()) > 0,
    "uids": os.getresuid(),
    "groups": os.getgroups(),
    "status": dict(line.split(":", 1) for line in status.read().splitlines()),
}))
"""


def confined(before: int = 0) -> dict[str, Any]:
    """What a process finds that was confined, as root or as user `before`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-c", CONFINED, str(before), str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    found["status"] = {name: value.strip() for name, value in found["status"].items()}
    return found


@as_root
def test_root_becomes_nobody_that_anybody_knows_and_has_nothing_left() -> None:
    found = confined()
    assert found["missed"] == []
    assert found["uids"] == [61234] * 3
    assert found["groups"] == []
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found["status"][name], 16) == 0
    assert found["status"]["NoNewPrivs"] == "1"


@pytest.mark.parametrize("before", [0, 1000])
def test_no_path_leads_anywhere_and_open_files_stay(before: int) -> None:
    if os.geteuid() != 0:
        before = 0
    found = confined(before)
    if "landlock" in found["missed"] and "chroot" in found["missed"]:
        pytest.skip("this kernel has no Landlock, and root is needed for chroot")
    for what in ("open", "list", "make", "run"):
        assert found[what] in ("PermissionError", "FileNotFoundError"), what
    assert found["kept"] is True


@pytest.mark.parametrize("before", [0, 1000])
def test_it_reaches_no_address_and_ends_nobody_but_its_children(before: int) -> None:
    if os.geteuid() != 0:
        before = 0
    found = confined(before)
    if "landlock" in found["missed"]:
        pytest.skip("this kernel has no Landlock")
    assert found["connect"] in ("PermissionError", "OSError")
    assert found["kill"] == "PermissionError"
    assert found["fork"] is True


def test_users_that_somebody_is_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {sandbox.OWN_UIDS[5], sandbox.OWN_UIDS[6]}
    real = pwd.getpwuid

    def getpwuid(uid: int) -> pwd.struct_passwd:
        return real(0) if uid in known else real(uid)

    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    assert sandbox.own_uid(5) == sandbox.OWN_UIDS[7]
    assert sandbox.own_uid(7) == sandbox.OWN_UIDS[7]
    assert sandbox.own_uid(5 + len(sandbox.OWN_UIDS)) == sandbox.OWN_UIDS[7]


@as_root
@pytest.mark.fuse
def test_a_mounts_workers_have_no_privileges_and_serve(mount: Mount) -> None:
    _, keeping = mount({"a": b"what a says"})
    for pid in (*keeping.templates, keeping.worker, keeping.spare):
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        uids = {int(uid) for uid in status["Uid"].split()}
        assert len(uids) == 1
        assert uids <= set(sandbox.OWN_UIDS)
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"].strip() == "1"
        assert list(Path(f"/proc/{pid}/root").iterdir()) == []
    assert outside("print(open(sys.argv[1]).read())", keeping.mountpoint / "a") == "what a says"
