"""A process that has imported a library once and forks a member for each request.

A hundred Python processes that all import the same modules take the machine ten seconds of CPU, and
a start of a hundred members would measure that. So this is what starts a member of a Python
library; serf's starts quickly by itself.

Run as ``python -m benchmarks.membership.forker AGENT`` with a socket as standard input. A request
is a JSON object (`name`, `host`, `port`, `seeds`) with two file descriptors, the member's standard
input and output; the answer is its process id.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from typing import Any

from benchmarks.membership import agents
from benchmarks.mesh import guarded

REQUEST = 4096
"""Bytes of a request at most."""


class Forker:
    """The forking process, as its user sees it."""

    def __init__(self, agent: str, enter: list[str]) -> None:
        """Start it, behind the command prefix `enter`."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*guarded(*enter), sys.executable, "-m", __name__, agent], stdin=theirs.fileno()
            )

    def fork(self, name: str, host: str, port: int, seeds: list[str], io: tuple[int, int]) -> int:
        """Start a member with this standard input and output; its process id."""
        request = json.dumps({"name": name, "host": host, "port": port, "seeds": seeds})
        socket.send_fds(self._socket, [request.encode()], [*io])
        return int(self._socket.recv(REQUEST))

    def close(self) -> None:
        """End it; its members end by themselves when their input does."""
        self._socket.close()
        self._process.wait(10)


def become(agent: str, request: dict[str, Any], io: list[int]) -> None:
    """Be the member, in the forked process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for standard, given in enumerate(io):
        os.dup2(given, standard)
        os.close(given)
    agents.run(agent, **request)


def main(agent: str) -> None:
    """Fork until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel takes the dead away
    agents.load(agent)
    with socket.socket(fileno=os.dup(0)) as requests:
        while True:
            request, descriptors, _, _ = socket.recv_fds(requests, REQUEST, 2)
            if not request:
                return
            if pid := os.fork():
                for descriptor in descriptors:
                    os.close(descriptor)
                requests.send(str(pid).encode())
                continue
            requests.close()
            become(agent, json.loads(request), descriptors)
            os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
