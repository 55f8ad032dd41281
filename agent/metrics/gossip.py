"""The metrics of gossip."""

import itertools
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from meshcache.agent.mesh.monitor import WORDS
from meshcache.agent.metrics.family import Buckets, Family, Histogram, Sample, counter, gauge
from meshcache.agent.node import Node
from meshcache.gossip import LAG_BOUNDS

STATES = ("alive", "suspect", "failed", "left")
ROLES = ("cache", "guest")


def _members(node: Node) -> Iterator[Sample]:
    found = Counter((peer.state, peer.role) for peer in node.mesh.peers())
    for key in sorted({*itertools.product(STATES, ROLES), *found}):
        yield key, found[key]


def _round_trips(node: Node) -> Iterator[Sample]:
    gossip = node.gossip
    standings = [gossip.standing(member.uid) for member in gossip.members()]
    known = sorted(one.round_trip for one in standings if one.round_trip is not None)
    if known:
        for quantile in (0.5, 0.9, 1.0):
            yield (str(quantile),), known[min(int(quantile * len(known)), len(known) - 1)]


def _lag(node: Node) -> Buckets:
    lag = node.gossip.lag
    bounds = [*map(str, LAG_BOUNDS), "+Inf"]
    return Buckets(
        list(zip(bounds, map(float, itertools.accumulate(lag.counts)), strict=True)), lag.total
    )


def _counted(label: str, name: str, text: str, values: dict[str, str]) -> Family:
    """Some of gossip's own counters as one metric: its label's value -> the counter's name."""

    def read(node: Node) -> Iterator[Sample]:
        stats = node.gossip.stats()
        for value, count in values.items():
            yield (value,), stats.get(count, 0)

    return Family(f"meshcache_gossip_{name}", CounterMetricFamily, (label,), text, read)


def _stat(name: str, stat: str, text: str) -> Family:
    return counter(f"gossip_{name}", text, lambda node: node.gossip.stats().get(stat, 0))


GOSSIP: tuple[Family | Histogram, ...] = (
    Family(
        "meshcache_members",
        GaugeMetricFamily,
        ("state", "role"),
        "Members of the mesh as this one sees them, itself included; leaves are not among them.",
        _members,
    ),
    gauge(
        "gossip_leaves",
        "Guests that this member serves as leaves of gossip.",
        lambda node: len(node.gossip.leaves()),
    ),
    Family(
        "meshcache_gossip_member_events",
        CounterMetricFamily,
        ("event",),
        "What this member learned of others, by what it was: suspect is a suspicion by a majority "
        "of a member's observers, alive its end.",
        lambda node: [((word,), node.gossip.told[kind.__name__]) for kind, word in WORDS.items()],
    ),
    _stat("alerts", "alerts", "Alerts that this member raised about those that it observes."),
    _counted(
        "reason",
        "alerts_withheld",
        "Alerts and verdicts that were not raised or not believed.",
        {
            "others hear it": "alerts_held_back",
            "refused by others": "alerts_refused",
            "death doubted": "deaths_doubted",
        },
    ),
    _stat(
        "refutations",
        "refutations",
        "Times this member contradicted a word that it is suspect or dead.",
    ),
    _stat("stalls", "stalls", "Times this member found that it had stood still itself."),
    Histogram(
        "meshcache_gossip_loop_lag_seconds",
        "How late the event loop ran gossip's timers. From 0.5 s on the member takes itself for "
        "the one that stood still.",
        _lag,
    ),
    Family(
        "meshcache_gossip_round_trip_seconds",
        GaugeMetricFamily,
        ("quantile",),
        "Round trips to the members that this one keeps links to, as last measured; 1.0 is the "
        "longest.",
        _round_trips,
    ),
    gauge(
        "gossip_links",
        "Links that are open, in both directions.",
        lambda node: node.gossip.stats()["links"],
    ),
    _counted(
        "why",
        "dials",
        "Links that this member began to open.",
        {"all": "dials", "heal a partition": "heal_dials"},
    ),
    _counted(
        "direction",
        "frames",
        "Frames over links.",
        {"sent": "frames_sent", "received": "frames_received"},
    ),
    _counted(
        "direction",
        "bytes",
        "Bytes of frames over links, without what encryption and TCP add.",
        {"sent": "bytes_sent", "received": "bytes_received"},
    ),
    _counted(
        "reason",
        "frames_refused",
        "What came and was not taken: of strangers to the protocol, broken or hostile members, or "
        "beyond a limit.",
        {
            "malformed": "malformed",
            "unknown kind": "unknown_kind",
            "before a hello": "not_introduced",
            "removed key": "frames_expelled",
            "hostile": "hostile",
            "flood": "flooded",
            "too many links": "links_refused",
            "too many names": "names_refused",
            "too many questions": "questions_refused",
            "too many queries": "queries_refused",
            "too many syncs": "syncs_refused",
            "too many redirects": "redirects_refused",
            "table full": "table_full",
        },
    ),
    _counted(
        "side",
        "handshakes_refused",
        "Handshakes that failed: of strangers here, and of this member where none of its keys is "
        "taken.",
        {"theirs": "strangers_refused", "ours": "keys_refused"},
    ),
    _counted(
        "reason",
        "dropped",
        "What could not be sent.",
        {
            "queue full": "queue_dropped",
            "link gone": "frames_dropped",
            "no way back": "replies_lost",
        },
    ),
    _counted(
        "what",
        "rumours",
        "Rumours that came: news, or known already.",
        {"news": "rumours_fresh", "known": "rumours_known"},
    ),
    _counted(
        "result",
        "syncs",
        "Comparisons with another member by hash, and how many found a difference.",
        {"all": "syncs", "unequal": "syncs_unequal"},
    ),
    gauge(
        "gossip_keys",
        "Mesh keys that this member accepts; more than one while the key is changed.",
        lambda node: len(node.gossip.keys.ids),
    ),
    gauge(
        "gossip_map_entries",
        "Entries of the replicated map, deleted ones that are still remembered included.",
        lambda node: node.gossip.stats()["map_entries"],
    ),
    gauge(
        "gossip_map_bytes",
        "Bytes of the replicated map's names and values.",
        lambda node: node.gossip.stats()["map_bytes"],
    ),
    gauge(
        "watchers",
        "Who follows this member's events (`meshcache monitor`).",
        lambda node: node.monitor.watchers,
    ),
    counter(
        "watchers_cut_off",
        "Followers that read too slowly and were cut off.",
        lambda node: node.monitor.cut_off,
    ),
    _stat("map_refused", "map_refused", "Entries of others that the map's limits did not let in."),
)
