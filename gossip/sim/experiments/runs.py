"""Every experiment by name: what one mesh of so many members gives under one seed.

A run gives rows, each a frozen dataclass of numbers; `samples` makes many of them and keeps them.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from meshcache.gossip.sim.experiments import (
    anomalies,
    deaths,
    growth,
    partitions,
    spreading,
)
from meshcache.gossip.sim.memberlist.settings import LIFEGUARD, SWIM

Run = Callable[[int, int], Iterable[Any]]
"""Members, seed -> rows."""

LOSS = 0.2
"""The share of segments that the lossy runs lose."""

RUNS: dict[str, Run] = {
    "killed": partial(deaths.deaths, silent=False),
    "silent": partial(deaths.deaths, silent=True),
    "memberlist-deaths": deaths.memberlist_deaths,
    "grid-standing": partial(anomalies.grid, timers_run=False),
    "grid-running": partial(anomalies.grid, timers_run=True),
    "grid-swim": partial(anomalies.memberlist_grid, settings=SWIM),
    "grid-lifeguard": partial(anomalies.memberlist_grid, settings=LIFEGUARD),
    "stalls-standing": partial(anomalies.stalls, timers_run=False),
    "stalls-running": partial(anomalies.stalls, timers_run=True),
    "stalls-memberlist": anomalies.memberlist_stalls,
    "events": spreading.events,
    "events-lossy": partial(spreading.events, loss=LOSS),
    "memberlist-events": spreading.memberlist_events,
    "memberlist-events-lossy": partial(spreading.memberlist_events, loss=LOSS),
    "rest": spreading.rest,
    "memberlist-rest": spreading.memberlist_rest,
    "storm": growth.storm,
    "churn": growth.churn,
    "leaves": growth.leaves,
    "deaf": partial(partitions.one_way, egress=False),
    "faint": partial(partitions.one_way, egress=True),
    "halves": partitions.halves,
    "one-off": partitions.one_off,
}
