"""The stream of events over HTTP: who reads gets them, who does not is hung up on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from meshcache.agent.api import events
from meshcache.agent.client import AgentClient
from meshcache.agent.mesh.monitor import Monitor
from meshcache.agent.node import NODE, Node
from meshcache.gossip import UserEvent, ViewChanged
from tests.support.wait import eventually


@pytest.fixture
def monitor() -> Monitor:
    return Monitor(cast("Any", None), now=lambda: 7.0)


@pytest.fixture
async def socket(monitor: Monitor, tmp_path: Path) -> AsyncIterator[Path]:
    """Where the route is served."""
    app = web.Application()
    app[NODE] = cast("Node", SimpleNamespace(name="n1", monitor=monitor))
    app.add_routes(events.routes)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    path = tmp_path / "s"
    await web.UnixSite(runner, str(path)).start()
    yield path
    await runner.cleanup()


async def test_a_watcher_gets_what_happens_and_the_reason_of_the_end(
    monitor: Monitor, socket: Path
) -> None:
    got: list[dict[str, Any]] = []

    async def follow() -> None:
        async with AgentClient(socket=socket) as client:
            async for record in client.events(["view"]):
                got.append(record)  # noqa: PERF401 (looked at while they come)

    following = asyncio.get_running_loop().create_task(follow())
    await eventually(lambda: got == [{"kind": "begin", "name": "n1"}])
    monitor.on_event(ViewChanged(3))
    await eventually(lambda: len(got) == 2)
    monitor.end("the agent ends")
    await asyncio.wait_for(following, 5)
    assert got[1:] == [
        {"kind": "view", "event": "changed", "members": 3, "time": 7.0},
        {"kind": "end", "detail": "the agent ends"},
    ]
    assert monitor.watchers == 0


async def test_who_does_not_read_is_hung_up_on_and_counted(monitor: Monitor, socket: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=4096)
    writer.write(b"GET /v1/events HTTP/1.1\r\nHost: agent\r\n\r\n")
    await eventually(lambda: monitor.watchers == 1)
    large = UserEvent("u1", "flood", b"x" * 1024)
    while not monitor.cut_off:
        for _ in range(200):
            monitor.on_event(large)
        await asyncio.sleep(0)
    await eventually(lambda: monitor.watchers == 0)
    assert monitor.cut_off == 1
    writer.close()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(1 << 30)
