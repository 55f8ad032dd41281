"""The agent's life: start, serve until told to end, leave nothing behind."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
import uvloop

from meshcache.agent.assembly import start
from meshcache.agent.config import AgentConfig
from meshcache.agent.listening import remove_socket
from meshcache.agent.node import Node
from meshcache.units import format_size

log = structlog.get_logger()

END_WITHIN = 4.5
"""Seconds that an ordered end may take; SIGTERM promises 5 in all."""

END_AT_ALL_EVENTS = 4.9
"""Seconds after which an end that is held up is cut short: a thread in a file system that hangs
can be neither cancelled nor waited for. Nothing is lost; the store stands a kill -9."""


def run(config: AgentConfig, *, end_with_stdin: bool = False) -> int:
    """Run an agent until SIGTERM or SIGINT. Blocks.

    Args:
        end_with_stdin: end as well when stdin closes: with the process that started this one.

    Returns:
        The exit code: 0.

    Raises:
        MeshcacheError: it could not start; nothing is left behind.
    """
    uvloop.run(_serve(config, end_with_stdin))
    return 0


async def _serve(config: AgentConfig, end_with_stdin: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _order_to_end, config, stop)
    if end_with_stdin:
        loop.add_reader(0, _order_to_end, config, stop)  # nothing is written to it: it closes
    async with AsyncExitStack() as stack:
        node = await start(config, stack)
        # What was made by now is there to stay: some 90,000 objects, mostly of modules, which the
        # collector would go through again and again while blocks come and go.
        gc.collect()
        gc.freeze()
        node.ready = True
        sys.stdout.write(_ready_line(node) + "\n")
        sys.stdout.flush()
        await stop.wait()
        node.ready = False
        log.info("leaving", name=node.name)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN):
                if not config.keep_mounts:
                    await node.mounts.unmount_all()
                await node.gossip.leave()
                await stack.aclose()


def _order_to_end(config: AgentConfig, stop: asyncio.Event) -> None:
    asyncio.get_running_loop().remove_reader(0)
    if not stop.is_set():
        stop.set()
        # A thread, for the loop may be what is held up; a daemon, for an end in time to end it.
        last = threading.Timer(END_AT_ALL_EVENTS, _end_now, (config.socket,))
        last.daemon = True
        last.start()


def _end_now(control: Path) -> None:
    log.warning("the end was held up and is cut short")
    remove_socket(control)
    os._exit(0)


def _ready_line(node: Node) -> str:
    alive = sum(peer.state == "alive" for peer in node.mesh.peers())
    mesh = f"a mesh of {alive}" if alive > 1 else "a mesh of one"
    if node.config.join and alive == 1:
        mesh += f" ({node.membership.trouble}; still trying)"
    return (
        f"meshcache agent {node.name} is ready: http {node.address}, gossip "
        f"{node.gossip.me.address}, socket {node.config.socket}, "
        f"cache {node.config.cache_dir} ({format_size(node.store.quota)}), {mesh}"
    )
