"""What is measured: our gossip, serf, kinship. How each is started, told and understood."""

import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from typing import NamedTuple, Protocol

from benchmarks.membership.forker import Forker
from benchmarks.mesh import guarded
from meshcache.errors import EnvironmentUnfit
from tests.support.namespaces import SIDES, Namespaces

PORT = 7946
RPC_PORT = 7373
WORDS = ("ready", "joined", "alive", "suspect", "failed", "left", "event")


class Heard(NamedTuple):
    """What a member says in one line."""

    word: str
    """One of `WORDS`."""
    about: str
    """A member's name, or an event's."""


class Place(NamedTuple):
    """Where a member lives."""

    name: str
    side: str
    host: str
    seeds: list[str]


class Running(NamedTuple):
    """A member's process."""

    pid: int
    lines: int
    """File descriptor of what it says."""
    event: Callable[[str], None]
    """Have it send an event to all."""
    leave: Callable[[], None]
    """Have it leave gracefully."""
    close: Callable[[], None]
    """Let go of the process, which has ended."""


class Subject(Protocol):
    """A membership program in a pair of namespaces."""

    def version(self) -> str:
        """Name and version."""

    def start(self, place: Place) -> Running:
        """Start a member."""

    def understand(self, line: str) -> Heard | None:
        """What a line says, if it says anything of interest."""

    def close(self) -> None:
        """Let go of everything but the members."""


class Library:
    """A Python library, its members forked from a process that has it imported."""

    def __init__(self, agent: str, package: str, network: Namespaces) -> None:
        """Start a forker on either side."""
        self._package = package
        self._forkers = {side: Forker(agent, network.enter(side)) for side in SIDES}

    def version(self) -> str:
        """As installed."""
        return f"{self._package} {importlib.metadata.version(self._package)}"

    def start(self, place: Place) -> Running:
        """Fork one."""
        stdin, commands = os.pipe()
        lines, stdout = os.pipe()
        seeds = [f"{seed}:{PORT}" for seed in place.seeds]
        forker = self._forkers[place.side]
        pid = forker.fork(place.name, place.host, PORT, seeds, (stdin, stdout))
        os.close(stdin)
        os.close(stdout)

        def tell(command: str) -> None:
            os.write(commands, f"{command}\n".encode())

        def close() -> None:
            os.close(commands)
            os.close(lines)

        return Running(pid, lines, lambda name: tell(f"event {name}"), lambda: tell("leave"), close)

    def understand(self, line: str) -> Heard | None:
        """The words are ours."""
        word, _, about = line.partition(" ")
        return Heard(word, about) if word in WORDS else None

    def close(self) -> None:
        """End the forkers."""
        for forker in self._forkers.values():
            forker.close()


class Serf:
    """HashiCorp's serf, profile lan; each member a process of its own."""

    SAYS = (
        ("ready", re.compile(r"Serf agent running!()")),
        ("joined", re.compile(r"serf: EventMemberJoin: (\S+)")),
        ("failed", re.compile(r"serf: EventMemberFailed: (\S+)")),
        ("left", re.compile(r"serf: EventMemberLeave: (\S+)")),
        ("suspect", re.compile(r"memberlist: Suspect (\S+) has failed")),
        ("event", re.compile(r"Received event: user-event: (\S+)")),
    )

    def __init__(self, network: Namespaces) -> None:
        """Look for the program.

        Raises:
            EnvironmentUnfit: there is none.
        """
        if shutil.which("serf") is None:
            raise EnvironmentUnfit("there is no serf: apt-get install serf")
        self._network = network

    def version(self) -> str:
        """As it says itself (Debian's 0.9.4 says 0.8.2-dev), and Debian's."""
        own = subprocess.run(["serf", "version"], capture_output=True, text=True, check=True)
        query = ["dpkg-query", "-W", "-f", "${Version}", "serf"]
        debian = subprocess.run(query, capture_output=True, text=True, check=False).stdout
        return f"serf {debian or own.stdout.split()[0]}"

    def start(self, place: Place) -> Running:
        """Start an agent."""
        enter = self._network.enter(place.side)
        rpc = f"-rpc-addr={place.host}:{RPC_PORT}"
        read, write = os.pipe()
        process = subprocess.Popen(
            [
                *(*guarded(*enter), "serf", "agent", f"-node={place.name}", "-profile=lan"),
                *(f"-bind={place.host}:{PORT}", rpc, "-log-level=info", "-retry-interval=1s"),
                *(f"-retry-join={seed}:{PORT}" for seed in place.seeds),
            ],
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=write,
            start_new_session=True,
        )
        os.close(write)

        def event(name: str) -> None:
            command = [*enter, "serf", "event", "-coalesce=false", rpc, name, "x"]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=20)

        def close() -> None:
            os.close(read)
            process.wait(10)

        return Running(process.pid, read, event, lambda: os.kill(process.pid, signal.SIGINT), close)

    @classmethod
    def understand(cls, line: str) -> Heard | None:
        """By its log."""
        found = ((word, pattern.search(line)) for word, pattern in cls.SAYS)
        return next((Heard(word, match[1]) for word, match in found if match), None)

    def close(self) -> None:
        """Nothing but the members was started."""


SUBJECTS: dict[str, Callable[[Namespaces], Subject]] = {
    "ours": lambda network: Library("ours", "meshcache", network),
    "serf": Serf,
    "kinship": lambda network: Library("kinship", "kinship", network),
}
