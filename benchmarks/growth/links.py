"""Network namespaces for nodes of one machine, each behind a link that passes so many bytes.

All hang on a bridge in the namespace of this process, which should be one of its own, too
(`alone`). A token bucket (tc-tbf(8)) at both ends of each link caps both directions, so that the
links are the limit and not the machine.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.namespaces import run

HUB = "10.96.0.1"
"""This process' address, for nodes."""
_BRIDGE = "hub"
_MARK = "MESHCACHE_BENCH_ALONE"


def alone(module: str) -> None:
    """Go on in a network namespace of our own: run this module's program again in one."""
    if _MARK not in os.environ:
        command = ["unshare", "--net", "--kill-child", sys.executable, "-m", module, *sys.argv[1:]]
        os.execvpe(command[0], command, {**os.environ, _MARK: "1"})
    run("ip", "link", "set", "lo", "up")


@contextlib.contextmanager
def bridge() -> Iterator[None]:
    """The bridge, with our address."""
    run("ip", "link", "add", _BRIDGE, "type", "bridge")
    run("ip", "addr", "add", f"{HUB}/16", "dev", _BRIDGE)
    run("ip", "link", "set", _BRIDGE, "up")
    try:
        yield
    finally:
        run("ip", "link", "del", _BRIDGE)


class Link:
    """One node's namespace and its link to the bridge. A context manager."""

    def __init__(self, number: int, rate: int) -> None:
        """`rate` in bytes per second, each way."""
        self.address = f"10.96.{1 + number // 250}.{number % 250 + 1}"
        self._number = number
        self._rate = f"{rate * 8}bit"
        self._holder: subprocess.Popen[bytes] | None = None

    @property
    def enter(self) -> list[str]:
        """What to put before a command to run it on the node."""
        assert self._holder is not None
        return ["nsenter", "--target", str(self._holder.pid), "--net", "--"]

    def __enter__(self) -> "Link":
        self._holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
        here = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{self._holder.pid}/ns/net").readlink() == here:
            pass
        near, far = f"n{self._number}", "eth0"
        run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns",
            str(self._holder.pid))  # fmt: skip
        run("ip", "link", "set", near, "master", _BRIDGE, "up")
        self._cap([], near)
        for words in (
            ["addr", "add", f"{self.address}/16", "dev", far],
            ["link", "set", "lo", "up"],
            ["link", "set", far, "up"],
        ):
            run(*self.enter, "ip", *words)
        self._cap(self.enter, far)
        return self

    def _cap(self, enter: list[str], device: str) -> None:
        # The burst is what passes in 20 ms or so; the queue holds a tenth of a second.
        run(*enter, "tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", self._rate,
            "burst", "256kb", "latency", "100ms")  # fmt: skip

    def __exit__(self, *_: object) -> None:
        if self._holder is not None:
            # By the end of the namespace it would go some time later.
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "link", "del", f"n{self._number}")
            assert self._holder.stdin is not None
            self._holder.stdin.close()
            self._holder.wait(10)
