"""Real agents: one process each, talked to as a user would, through the command line.

Nothing here reads a mount: readers are processes of their own with a limit of time.
"""

import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from meshcache.fuse.mountinfo import mount_at
from meshcache.fuse.mountpoint import abort, detach
from tests.support.wait import wait_until

LIMIT = 60.0
"""Seconds that any command may take."""

_READY = re.compile(r"is ready: http (\S+), gossip (\S+), ")


class Agent:
    """One `meshcache agent` process with a folder of its own."""

    def __init__(self, folder: Path, name: str, *flags: str, key: Path | None, size: str) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.socket = self.folder / "agent.sock"
        self.cache = self.folder / "cache"
        self.log = self.folder / "agent.log"
        self._flags = flags
        self._key = key
        self._size = size
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None
        self.http = self.gossip = ""
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, *, join: str = "") -> Self:
        """Start it, and wait for its ready line."""
        command = [
            *(sys.executable, "-m", "meshcache.agent.cli", "agent"),
            *("--name", self.name, "--cache-dir", str(self.cache), "--cache-size", self._size),
            *("--listen", self.http or "127.0.0.1:0", "--gossip", self.gossip or "127.0.0.1:0"),
            *("--socket", str(self.socket)),
            *(("--mesh-key-file", str(self._key)) if self._key else ()),
            *(("--join", join) if join else ()),
            *self._flags,
        ]
        self._log = self.log.open("ab")
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment()
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        match = _READY.search(line)
        assert match, f"{self.name} did not get ready: {line!r}\n{self.log.read_text()[-2000:]}"
        self.http, self.gossip = match[1], match[2]
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command that talks to this agent."""
        return command(*arguments, "--socket", str(self.socket), check=check)

    def json(self, *arguments: str) -> Any:
        """The same, with ``-o json``, decoded."""
        return json.loads(self.run(*arguments, "-o", "json").stdout)

    def ask(self, path: str) -> Any:
        """What the agent answers to a GET, decoded."""
        return json.loads(self.get(path))

    def get(self, path: str) -> str:
        """What the agent answers to a GET over its socket: cheap enough to poll."""
        connection = http.client.HTTPConnection("agent", timeout=LIMIT)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.settimeout(LIMIT)
            connection.sock.connect(str(self.socket))
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, body
        return body.decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels, as Prometheus would scrape them."""
        line = rf"^{name}(?:_total)?(\{{[^}}]*\}})? (\S+)$"
        samples = re.findall(line, self.get("/metrics"), re.MULTILINE)
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(value) for shown, value in samples if all(w in shown for w in wanted))

    def lists(self, dataset: str) -> bool:
        """Whether it knows of a dataset."""
        return dataset in {found["name"] for found in self.ask("/v1/datasets")}

    def phase(self, load: str) -> str:
        """How far a load is."""
        return str(self.ask(f"/v1/loads/{load}")["phase"])

    def states(self) -> dict[str, str]:
        """Member name -> state, as this one sees them."""
        return {member["name"]: member["state"] for member in self.ask("/v1/members")}

    def sees_alive(self, names: Sequence[str]) -> bool:
        """Whether it sees just these members, all alive."""
        return self.states() == dict.fromkeys(names, "alive")

    def mount(self, dataset: str, mountpoint: Path, *flags: str) -> subprocess.Popen[bytes]:
        """Mount in the background; returns when the mount answers."""
        mountpoint.mkdir(parents=True, exist_ok=True)
        log = (self.folder / "mount.log").open("ab")
        keeper = subprocess.Popen(
            [
                *(sys.executable, "-m", "meshcache.agent.cli", "mount", dataset, str(mountpoint)),
                *("--socket", str(self.socket), *flags),
            ],
            stdout=log,
            stderr=log,
            env=environment(),
        )
        log.close()
        self.children.append(keeper)
        # The command's own word for it is its ready line; the kernel's is the mount table.
        wait_until(lambda: mount_at(mountpoint) is not None or keeper.poll() is not None, within=30)
        assert keeper.poll() is None, (self.folder / "mount.log").read_text()
        return keeper

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._reap()

    def stop(self, within: float = 10.0) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._reap(within)

    def _reap(self, within: float = 10.0) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._log is not None
        code = self._process.wait(within)
        self._process.stdout.close()
        self._log.close()
        self._process = None
        return code

    def close(self) -> None:
        """End it and its mounts by force, whatever state they are in."""
        if self._process is not None:
            self._process.kill()
            self._reap()
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait(10)


class Mesh:
    """Agents that share a key, and what the test mounted; all gone at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agents: list[Agent] = []
        self.key = folder / "mesh.key"
        self.key.write_text(secrets.token_hex(32) + "\n")
        self.key.chmod(0o600)
        self.mountpoints: list[Path] = []

    def agent(self, name: str, *flags: str, size: str = "256MiB") -> Agent:
        """A new agent, not started yet."""
        made = Agent(self.folder, name, *flags, key=self.key, size=size)
        self.agents.append(made)
        return made

    def start(self, *names: str, size: str = "256MiB", flags: Sequence[str] = ()) -> list[Agent]:
        """Start several, the others joining the first, and wait until all see all alive."""
        made = [self.agent(name, *flags, size=size) for name in names]
        for agent in made:
            agent.start(join=made[0].gossip if agent is not made[0] else "")
        for agent in made:
            wait_until(partial(agent.sees_alive, names), within=20)
        return made

    def mount(self, agent: Agent, dataset: str, *flags: str) -> Path:
        """Mount a dataset on an agent's node."""
        mountpoint = agent.folder / f"mnt-{len(self.mountpoints)}"
        self.mountpoints.append(mountpoint)
        agent.mount(dataset, mountpoint, *flags)
        return mountpoint

    def close(self) -> None:
        """Leave nothing behind."""
        for mountpoint in self.mountpoints:
            mounted = mount_at(mountpoint)
            if mounted is not None:
                detach(mountpoint)
                abort(mounted)
        for agent in self.agents:
            agent.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what would configure meshcache."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MESHCACHE_", "AWS_"))}
    return plain | more


def command(
    *arguments: str, check: bool = True, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """`meshcache ...`, to its end, with that at its stdin."""
    done = subprocess.run(
        [sys.executable, "-m", "meshcache.agent.cli", *arguments],
        capture_output=True,
        text=True,
        input=given,
        timeout=LIMIT,
        env=environment(),
        check=False,
    )
    assert not check or done.returncode == 0, f"{arguments}: {done.stderr}"
    return done


def digest_of(path: Path, *, uid: int | None = None) -> subprocess.Popen[str]:
    """A process that reads a file and prints its SHA-256, as another user if asked."""
    prefix = ["setpriv", f"--reuid={uid}", "--clear-groups"] if uid is not None else []
    return subprocess.Popen(
        ["timeout", str(LIMIT), *prefix, "sha256sum", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def digest(path: Path, *, uid: int | None = None) -> str:
    """The SHA-256 of a file on a mount, read by a process of its own."""
    reader = digest_of(path, uid=uid)
    out, err = reader.communicate(timeout=LIMIT)
    assert reader.returncode == 0, err
    return out.split()[0].lstrip("\\")
