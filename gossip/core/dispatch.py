"""What each kind of frame and each timer of a node is for: one table each.

The functions take the node (`core.node.Node`, which imports these tables) as their first argument.
"""

from collections.abc import Callable
from typing import Any

from meshcache.gossip import wire
from meshcache.gossip.core.links import Link

MESSAGES: dict[type, Callable[[Any, Link, Any], object]] = {
    wire.Beat: lambda node, link, message: None,
    wire.Probe: lambda node, link, message: node.on_probe(link, message),
    wire.Probed: lambda node, link, message: node.on_probed(link, message),
    wire.Rumours: lambda node, link, message: node.spread.on_rumours(link, message),
    wire.Ihave: lambda node, link, message: node.spread.on_ihave(link, message),
    wire.Graft: lambda node, link, message: node.spread.on_graft(link, message),
    wire.Prune: lambda node, link, message: node.spread.on_prune(link),
    wire.Digest: lambda node, link, message: node.sync.on_digest(link, message),
    wire.Differ: lambda node, link, message: node.sync.on_differ(link, message),
    wire.Rows: lambda node, link, message: node.sync.on_rows(link, message),
    wire.Reply: lambda node, link, message: node.happenings.pass_back(message),
    wire.Reach: lambda node, link, message: node.members.detection.answers.on_reach(link, message),
    wire.Reached: lambda node, link, message: node.members.detection.inquiries.on_reached(
        link, message
    ),
}

TIMERS: dict[object, Callable[..., None]] = {
    "join": lambda node: node.joining.round(),
    "beat": lambda node: node.members.detection.beat(),
    "watch": lambda node: node.members.detection.watch.look(),
    "probe": lambda node, uid: node.members.detection.watch.unanswered(uid),
    "probe-again": lambda node, uid: node.members.detection.watch.probe_again(uid),
    "miss": lambda node, uid: node.members.detection.watch.still_missing(uid),
    "redial": lambda node, uid: node.members.detection.watch.redial(uid),
    "deny": lambda node: node.members.roster.myself.deny_all(),
    "reach": lambda node, uid: node.members.detection.answers.unheard(uid),
    "vouch": lambda node, uid: node.members.detection.watch.vouch(uid),
    "accuse": lambda node, uid: node.members.detection.watch.accuse_again(uid),
    "vote": lambda node, uid: node.members.detection.verdicts.evaluate(uid),
    "lapse": lambda node, uid: node.members.detection.verdicts.evaluate(uid),
    "hearing": lambda node, uid: node.members.roster.believe(uid),
    "verdicts": lambda node: node.members.detection.verdicts.reconsider(),
    "hold": lambda node, uid: node.members.detection.hold_over(uid),
    "view": lambda node: node.members.apply_view(),
    "tend": lambda node: node.links.tend(),
    "dialled": lambda node, number: node.endings.dialled_out(number),
    "ihave": lambda node: node.spread.send_names(),
    "graft": lambda node, name: node.spread.graft(name),
    "sync": lambda node: node.sync_round(),
    "sync-far": lambda node: node.sync.far(),
    "sync-with": lambda node, number: node.sync.over(number),
    "heal": lambda node: node.joining.heal(),
    "reap": lambda node: node.reap(),
    "leases": lambda node: node.host.tend(),
    "guest": lambda node: node.guest.tend(),
}
