"""A member with nothing but gossip, one line for each event: what membership benchmarks drive.

python -m benchmarks.gossip_agent NAME HOST PORT [SEED...]. SIGUSR1 sends an event, SIGTERM
leaves the mesh.
"""

import asyncio
import signal
import sys

import uvloop

from meshcache.gossip import (
    Event,
    Gossip,
    GossipConfig,
    MemberAlive,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberSuspect,
    UserEvent,
)

_WORDS = {
    MemberJoined: "joined",
    MemberAlive: "alive",
    MemberSuspect: "suspect",
    MemberFailed: "failed",
    MemberLeft: "left",
}


def tell(event: Event) -> None:
    """Print an event."""
    if isinstance(event, UserEvent):
        print(f"event {event.name}", flush=True)
    elif isinstance(event, MemberJoined | MemberAlive | MemberSuspect | MemberFailed | MemberLeft):
        print(f"member {_WORDS[type(event)]} {event.member.name}", flush=True)


async def main(name: str, host: str, port: str, *seeds: str) -> None:
    """Run until SIGTERM."""
    key = b"a key for benchmarks, known to all"
    gossip = Gossip(GossipConfig(name=name, key=key, bind=(host, int(port)), seeds=list(seeds)))
    gossip.subscribe(tell)
    await gossip.start()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: gossip.event(f"from-{name}"))
    print(f"ready {gossip.address}", flush=True)
    await ended.wait()
    await gossip.leave()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
