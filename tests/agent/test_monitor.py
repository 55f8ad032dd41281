"""What watchers get, and what becomes of slow ones."""

import asyncio
from typing import Any

import pytest

from meshcache.agent.mesh.monitor import KINDS, QUEUE, WATCHERS, Monitor, Watcher
from meshcache.errors import TooManyWatchers
from meshcache.gossip import (
    Event,
    Incompatible,
    KeyRefused,
    KeysChanged,
    MapChanged,
    Member,
    MemberFailed,
    NameConflict,
    State,
    UserEvent,
    ViewChanged,
)

MEMBER = Member("u1", "n1", "h:1", State.FAILED, 3, "full", {"role": "cache"}, 0.0, 0)


class FakeGossip:
    """A map with one entry."""

    @property
    def map(self) -> "FakeGossip":
        return self

    def get(self, namespace: str, key: str) -> object:
        return key == "there" or None


@pytest.fixture
def monitor() -> Monitor:
    return Monitor(FakeGossip(), now=lambda: 7.0)  # type: ignore[arg-type]


async def taken(watcher: Watcher) -> list[dict[str, Any]]:
    return await watcher.take(0.01)


@pytest.mark.parametrize(
    ("event", "record"),
    [
        (
            MemberFailed(MEMBER),
            {
                "kind": "member",
                "event": "failed",
                "name": "n1",
                "uid": "u1",
                "gossip": "h:1",
                "role": "cache",
                "zone": "",
                "incarnation": 3,
            },
        ),
        (
            NameConflict("n1", ("u1", "u2")),
            {"kind": "member", "event": "name-conflict", "name": "n1", "uids": ["u1", "u2"]},
        ),
        (
            Incompatible("h:1", "speaks 9"),
            {"kind": "member", "event": "incompatible", "address": "h:1", "detail": "speaks 9"},
        ),
        (ViewChanged(4), {"kind": "view", "event": "changed", "members": 4}),
        (
            MapChanged("datasets", "there"),
            {"kind": "map", "event": "written", "namespace": "datasets", "key": "there"},
        ),
        (
            MapChanged("datasets", "gone"),
            {"kind": "map", "event": "deleted", "namespace": "datasets", "key": "gone"},
        ),
        (KeyRefused("h:1"), {"kind": "keys", "event": "refused", "address": "h:1"}),
        (KeysChanged(("a", "b")), {"kind": "keys", "event": "changed", "ids": ["a", "b"]}),
        (
            UserEvent("u1", "deploy", b"\xff7"),
            {
                "kind": "event",
                "event": "user",
                "name": "deploy",
                "uid": "u1",
                "payload": "\ufffd7",
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_each_event_is_a_record(
    event: Event, record: dict[str, Any], monitor: Monitor
) -> None:
    with monitor.watch(KINDS) as watcher:
        monitor.on_event(event)
        assert await taken(watcher) == [record | {"time": 7.0}]


async def test_a_watcher_gets_the_kinds_that_it_asked_for(monitor: Monitor) -> None:
    with monitor.watch(["view"]) as watcher:
        monitor.on_event(MemberFailed(MEMBER))
        monitor.on_event(ViewChanged(2))
        assert [record["kind"] for record in await taken(watcher)] == ["view"]
    monitor.on_event(ViewChanged(3))
    assert await taken(watcher) == []


async def test_who_does_not_read_is_cut_off_and_counted_and_the_others_go_on(
    monitor: Monitor,
) -> None:
    with monitor.watch(KINDS) as slow, monitor.watch(KINDS) as quick:
        got = 0
        for number in range(QUEUE + 10):
            monitor.on_event(ViewChanged(number))
            got += len(await taken(quick))
        assert (got, quick.ended) == (QUEUE + 10, "")
        assert slow.ended.startswith(f"cut off: {QUEUE} events were waiting")
        assert len(await taken(slow)) == QUEUE
        assert monitor.cut_off == 1


async def test_a_writer_that_is_stuck_has_two_seconds_once_its_watcher_is_cut_off(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshcache.agent.mesh.monitor.LAST_WORDS_WITHIN", 0.01)
    with monitor.watch(KINDS) as watcher, pytest.raises(TimeoutError):
        async with watcher.patience():
            monitor.end("the agent ends")
            await asyncio.Event().wait()


def test_there_is_a_limit_to_watchers(monitor: Monitor) -> None:
    def watch(more: int) -> None:
        with monitor.watch(KINDS):
            if more:
                watch(more - 1)

    watch(WATCHERS - 1)
    with pytest.raises(TooManyWatchers, match=str(WATCHERS)):
        watch(WATCHERS)
    assert monitor.watchers == 0
