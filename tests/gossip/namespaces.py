"""Two real network namespaces with a cable between them, which can be cut silently, either way."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

SIDES = {"near": "10.99.7.1", "far": "10.99.7.2"}
NOBODY = "02:00:00:00:00:99"

CHILD = """
import asyncio, json, sys
from meshcache.gossip import Gossip, GossipConfig
async def main():
    name, host, port, *seeds = sys.argv[1:]
    config = GossipConfig(name=name, key=b"a key for this test only", bind=(host, int(port)),
                          seeds=seeds)
    gossip = Gossip(config)
    await gossip.start()
    last = None
    while True:
        now = {member.name: member.state for member in gossip.members()}
        if now != last:
            print(json.dumps(now), flush=True)
            last = now
        await asyncio.sleep(0.02)
asyncio.run(main())
"""


def run(*command: str) -> None:
    """Run a command to its end; raises if it fails."""
    subprocess.run(command, check=True, capture_output=True, timeout=20)


class Child:
    """A member in a process of its own."""

    def __init__(self, enter: list[str], name: str, host: str, port: int, seeds: list[str]) -> None:
        """Start it."""
        self.view: dict[str, str] = {}
        self.process = subprocess.Popen(
            [*enter, sys.executable, "-c", CHILD, name, host, str(port), *seeds],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.view = json.loads(line)

    def close(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Namespaces:
    """The two sides, and the members on them."""

    def __init__(self) -> None:
        """Make both namespaces. They live as long as the processes that hold them."""
        self._holders = {
            side: subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
            for side in SIDES
        }
        self.children: dict[str, Child] = {}
        here = Path("/proc/self/ns/net").readlink()
        for holder in self._holders.values():
            while Path(f"/proc/{holder.pid}/ns/net").readlink() == here:
                time.sleep(0.005)
        far = str(self._holders["far"].pid)
        run(
            *(*self._enter("near"), "ip", "link", "add", "near", "type", "veth"),
            *("peer", "name", "far", "netns", far),
        )
        for side, address in SIDES.items():
            run(*self._enter(side), "ip", "addr", "add", f"{address}/24", "dev", side)
            run(*self._enter(side), "ip", "link", "set", "lo", "up")
            run(*self._enter(side), "ip", "link", "set", side, "up")

    def _enter(self, side: str) -> list[str]:
        return ["nsenter", "--target", str(self._holders[side].pid), "--net", "--"]

    def start(self, side: str, name: str, port: int, *seeds: str) -> Child:
        """Start a member on one side."""
        child = Child(self._enter(side), name, SIDES[side], port, list(seeds))
        self.children[name] = child
        return child

    def cut(self, side: str) -> None:
        """From now on nothing that this side sends arrives (it is sent to a wrong MAC address)."""
        other = next(address for name, address in SIDES.items() if name != side)
        run(
            *(*self._enter(side), "ip", "neigh", "replace", other, "lladdr", NOBODY),
            *("dev", side, "nud", "permanent"),
        )

    def heal(self, side: str) -> None:
        """What this side sends arrives again."""
        other = next(address for name, address in SIDES.items() if name != side)
        run(*self._enter(side), "ip", "neigh", "del", other, "dev", side)

    def all_see(self, names: list[str], expected: dict[str, str]) -> Callable[[], bool]:
        """Whether each of these members sees exactly this."""
        return lambda: all(self.children[name].view == expected for name in names)

    def close(self) -> None:
        """End everything."""
        for child in self.children.values():
            child.close()
        for holder in self._holders.values():
            assert holder.stdin is not None
            holder.stdin.close()
            holder.wait(10)
