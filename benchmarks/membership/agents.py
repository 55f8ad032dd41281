"""Members with nothing but gossip: a line for each event on standard output, commands on standard
input (``event NAME``, ``leave``). They end with their input.

The libraries are imported by `load`, before the process is forked from (see `forker`).
"""

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import uvloop

from meshcache.tasks import TaskSet

KEY = b"a key of 32 B known to everybody"


class Agent(NamedTuple):
    """How a library's member is run."""

    module: str
    run: Callable[[str, str, int, list[str]], Awaitable[None]]
    """Given name, host, port and seeds (``host:port``)."""


def say(word: str, about: str = "") -> None:
    """Print one line."""
    print(word, about, flush=True)


async def obey(event: Callable[[str], None]) -> bool:
    """Carry out commands until ``leave`` (True) or the end of the input (False)."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        word, _, about = line.decode().strip().partition(" ")
        if word == "leave":
            return True
        say("event", about)
        event(about)
    return False


async def ours(name: str, host: str, port: int, seeds: list[str]) -> None:
    """A member of meshcache.gossip."""
    from meshcache import gossip as library

    words: dict[type, str] = {
        library.MemberJoined: "joined",
        library.MemberAlive: "alive",
        library.MemberSuspect: "suspect",
        library.MemberFailed: "failed",
        library.MemberLeft: "left",
    }

    def tell(event: library.Event) -> None:
        if isinstance(event, library.UserEvent):
            say("event", event.name)
        elif word := words.get(type(event)):
            say(word, event.member.name)  # type: ignore[union-attr]

    member = library.Gossip(
        library.GossipConfig(name=name, key=KEY, bind=(host, port), seeds=seeds)
    )
    member.subscribe(tell)
    await member.start()
    say("ready")
    if await obey(member.event):
        await member.leave()


async def kinship(name: str, host: str, port: int, seeds: list[str]) -> None:
    """A member of kinship with its defaults for a LAN."""
    import kinship as library

    words = {
        library.MemberRecovered: "alive",
        library.MemberSuspect: "suspect",
        library.MemberDead: "failed",
        library.MemberLeft: "left",
    }
    known = {name}

    def joined(member: library.Member) -> None:
        if member.name not in known:
            known.add(member.name)
            say("joined", member.name)

    async def tell(events: library.EventStream) -> None:
        async for event in events:
            if isinstance(event, library.UserMessage):
                say("event", event.data.decode())
            elif isinstance(event, library.MemberJoined):
                joined(event.member)
            elif not isinstance(event, library.EventsLost) and (word := words.get(type(event))):
                if word in ("failed", "left"):
                    known.discard(event.member.name)
                say(word, event.member.name)

    cluster = library.Cluster(
        library.Config.lan(
            name=name,
            bind=f"{host}:{port}",
            seeds=seeds,
            keys=[KEY],
            max_inbound_streams_per_ip=64,  # on one machine all members seem to be one address
        )
    )
    await cluster.start()
    tasks = TaskSet(lambda task, error: print(task, error, file=sys.stderr))
    tasks.start(tell(cluster.events()), name="tell")
    say("ready")
    for member in cluster.members():
        joined(member)

    def broadcast(event: str) -> None:
        tasks.start(cluster.broadcast(event.encode()), name="broadcast")

    if await obey(broadcast):
        await cluster.leave()
    await cluster.close()
    await tasks.close()


AGENTS = {
    "ours": Agent("meshcache.gossip", ours),
    "kinship": Agent("kinship", kinship),
}


def load(agent: str) -> None:
    """Import what the agent's library needs."""
    importlib.import_module(AGENTS[agent].module)


def run(agent: str, name: str, host: str, port: int, seeds: list[str]) -> None:
    """Be a member until told to leave."""
    runner = uvloop.run if agent == "ours" else asyncio.run
    runner(AGENTS[agent].run(name, host, port, seeds))  # type: ignore[arg-type]
