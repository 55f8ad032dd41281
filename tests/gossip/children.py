"""Members in processes of their own, on two network namespaces."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from tests.support.namespaces import Namespaces

PORT = 7001
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


class Child:
    """A member in a process of its own."""

    def __init__(self, enter: list[str], name: str, host: str, port: int, seeds: list[str]) -> None:
        """Start it."""
        self.views: list[dict[str, str]] = [{}]
        """Member -> state, whenever that changed."""
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
            self.views.append(json.loads(line))

    @property
    def view(self) -> dict[str, str]:
        """What it sees now."""
        return self.views[-1]

    def close(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Sides:
    """Members on two namespaces with a cable between them."""

    def __init__(self) -> None:
        """No member yet."""
        self.network = Namespaces()
        self.children: dict[str, Child] = {}

    def start(self, side: str, name: str) -> Child:
        """Start a member on one side; all but the first join through the first."""
        number = len(self.children) + 1
        seeds = [f"{self.network.address('near', 1)}:{PORT}"] if self.children else []
        host = self.network.address(side, number)
        child = Child(self.network.enter(side), name, host, PORT, seeds)
        self.children[name] = child
        return child

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a member."""
        os.kill(self.children[name].process.pid, number)

    def all_see(self, names: list[str], expected: dict[str, str]) -> Callable[[], bool]:
        """Whether each of these members sees exactly this."""
        return lambda: all(self.children[name].view == expected for name in names)

    def close(self) -> None:
        """End everything."""
        for child in self.children.values():
            child.close()
        self.network.close()
