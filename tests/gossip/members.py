"""Real members over loopback for tests, and what is asked of them."""

import contextlib
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator

from meshcache.gossip import Gossip, State

KEY = b"the mesh key of these tests, long"
Start = Callable[..., Awaitable[Gossip]]
"""(name, *seeds, **settings) -> a member that runs until the end of the test (fixture `start`)."""

CHILD = """
import asyncio, sys
from meshcache.gossip import Gossip, GossipConfig
async def main():
    gossip = Gossip(GossipConfig(name="child", key=bytes.fromhex(sys.argv[1]), seeds=[sys.argv[2]]))
    await gossip.start()
    print(gossip.address, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
"""A member in a process of its own: ``python -c CHILD KEY-IN-HEX SEED``; prints its address."""


@contextlib.contextmanager
def member_process(seed: str) -> Iterator[subprocess.Popen[str]]:
    """A member called `child`, in a process of its own that is killed at the end."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, KEY.hex(), seed], stdout=subprocess.PIPE, text=True
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate(timeout=10)


def knows(gossip: Gossip, *names: str, state: State = State.ALIVE) -> bool:
    """Whether a member sees exactly these, itself included, in this state."""
    return sorted(m.name for m in gossip.members() if m.state is state) == sorted(names)


def together(members: list[Gossip]) -> bool:
    """Whether each sees all of these alive."""
    uids = {member.me.uid for member in members}
    return all({m.uid for m in one.members() if m.state is State.ALIVE} >= uids for one in members)
