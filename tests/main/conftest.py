"""A mesh of real agents before a real S3 server; a proxy counts what the origin is asked."""

import asyncio
import random
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.agents import Agent, Mesh
from tests.support.capped import Cap
from tests.support.seaweed import Seaweed

T = TypeVar("T")


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    with Mesh(tmp_path) as made:
        yield made


class CapThread:
    """The counting proxy in a loop and thread of its own: these tests block on processes."""

    def __init__(self, upstream: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cap")
        self._thread.start()
        self.cap = Cap(upstream)
        self._in_loop(self.cap.start())

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    @property
    def url(self) -> str:
        return self.cap.url

    def hold(self, *, everything: bool = False) -> asyncio.Event:
        """Hold all object reads, or all requests, up until `release`."""

        async def hold() -> asyncio.Event:
            return self.cap.hold(everything=everything)

        event: asyncio.Event = self._in_loop(hold())
        return event

    def release(self, event: asyncio.Event) -> None:
        self._loop.call_soon_threadsafe(event.set)

    async def _drained(self) -> None:
        """Wait until all sockets are closed: what was broken off is first sent to its end, if who
        was to have it still lives, and closed in a turn of the loop after that."""
        sockets = self._loop._selector.get_map()  # type: ignore[attr-defined]
        own = 1  # the loop's, by which other threads wake it
        async with asyncio.timeout(10):
            while len(sockets) > own:
                await asyncio.sleep(0.01)
        for _ in range(2):
            await asyncio.sleep(0)

    def close(self) -> None:
        self._in_loop(self.cap.stop())
        self._in_loop(self._drained())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def cap(seaweed: Seaweed) -> Iterator[CapThread]:
    made = CapThread(seaweed.endpoint)
    yield made
    made.close()


class Origin:
    """A bucket behind the proxy, and the flags that make a dataset of it."""

    def __init__(self, seaweed: Seaweed, bucket: str, cap: CapThread, folder: Path) -> None:
        self.seaweed = seaweed
        self.bucket = bucket
        self.cap = cap
        self.secret = folder / "secret_key"
        self.secret.write_text(seaweed.secret_key)
        self.access = folder / "access_key"
        self.access.write_text(seaweed.access_key)

    def put(self, key: str, data: bytes) -> bytes:
        self.seaweed.put(self.bucket, key, data)
        return data

    def flags(self) -> list[str]:
        return [
            *("--option", f"endpoint={self.cap.url}", "--option", "addressing=path"),
            *("--secret-option", f"access_key=file:{self.access}"),
            *("--secret-option", f"secret_key=file:{self.secret}"),
        ]

    def create(self, agent: Agent, name: str = "data") -> None:
        """Make a dataset of the bucket."""
        agent.run("dataset", "create", name, f"s3://{self.bucket}", *self.flags())


@pytest.fixture
def origin(seaweed: Seaweed, bucket: str, cap: CapThread, tmp_path: Path) -> Origin:
    return Origin(seaweed, bucket, cap, tmp_path)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Seeded by the test's name, and printed: a failure can be repeated."""
    seed = request.node.name
    print(f"seed: {seed!r}")
    return random.Random(seed)
