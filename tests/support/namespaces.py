"""Two real network namespaces with a cable between them, which can be cut silently, either way."""

import subprocess
import time
from pathlib import Path
from typing import NamedTuple

SIDES = ("near", "far")
PREFIX = {"near": "10.98", "far": "10.99"}
CABLE = {"near": "10.97.0.1", "far": "10.97.0.2"}
NOBODY = "02:00:00:00:00:99"
"""A hardware address that no interface has."""


class Carried(NamedTuple):
    """What crossed an interface so far, each packet once."""

    bytes: int
    """With the link header (14 B a packet)."""
    packets: int

    @property
    def ip_bytes(self) -> int:
        """Without the link header."""
        return self.bytes - 14 * self.packets

    def since(self, before: "Carried") -> "Carried":
        """What crossed it meanwhile."""
        return Carried(self.bytes - before.bytes, self.packets - before.packets)


def run(*command: str) -> None:
    """Run a command to its end; raises if it fails."""
    subprocess.run(command, check=True, capture_output=True, timeout=20)


def other(side: str) -> str:
    """The side at the other end."""
    return SIDES[1 - SIDES.index(side)]


class Namespaces:
    """Both sides. Each has a /16 of addresses on its own `lo`, so that it goes on talking to
    itself while the cable is cut.

    They live as long as the processes that hold them; needs root, unshare, nsenter and ip.
    """

    def __init__(self) -> None:
        """Make both and lay the cable."""
        self._holders = {
            side: subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
            for side in SIDES
        }
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        here = Path("/proc/self/ns/net").readlink()
        for holder in self._holders.values():
            while Path(f"/proc/{holder.pid}/ns/net").readlink() == here:
                time.sleep(0.005)
        far = str(self._holders["far"].pid)
        self._ip("near", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", far)
        for side in SIDES:
            self._ip(side, "addr", "add", f"{CABLE[side]}/30", "dev", side)
            self._ip(side, "addr", "add", f"{self.address(side, 1)}/16", "dev", "lo")
            self._ip(side, "link", "set", "lo", "up")
            self._ip(side, "link", "set", side, "up")
        for side in SIDES:
            self._ip(
                *(side, "route", "add", f"{PREFIX[other(side)]}.0.0/16"),
                *("via", CABLE[other(side)], "src", self.address(side, 1)),
            )

    def _ip(self, side: str, *words: str) -> None:
        run(*self.enter(side), "ip", *words)

    def enter(self, side: str) -> list[str]:
        """What to put before a command to run it on that side."""
        return ["nsenter", "--target", str(self._holders[side].pid), "--net", "--"]

    def address(self, side: str, number: int) -> str:
        """The address of this number, from 1, on that side; all are there from the start."""
        return f"{PREFIX[side]}.{number // 250}.{number % 250 + 1}"

    def carried(self, side: str) -> Carried:
        """What the members of one side have sent each other (its `lo`)."""
        lines = Path(f"/proc/{self._holders[side].pid}/net/dev").read_text().splitlines()
        fields = next(line for line in lines if line.strip().startswith("lo:")).split()
        return Carried(int(fields[9]), int(fields[10]))

    def cut(self, *sides: str) -> None:
        """From now on nothing that these sides send to the other arrives (it goes to a wrong
        hardware address); both if none is named."""
        for side in sides or SIDES:
            self._ip(
                *(side, "neigh", "replace", CABLE[other(side)], "lladdr", NOBODY),
                *("dev", side, "nud", "permanent"),
            )

    def heal(self, *sides: str) -> None:
        """What these sides send arrives again; both if none is named."""
        for side in sides or SIDES:
            self._ip(side, "neigh", "del", CABLE[other(side)], "dev", side)

    def close(self) -> None:
        """Take both away."""
        for holder in self._holders.values():
            assert holder.stdin is not None
            holder.stdin.close()
            holder.wait(10)
