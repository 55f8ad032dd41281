"""N members started at once, with one seed: until all know all."""

import itertools

from benchmarks.membership.mesh import Mesh, Row

WITHIN = 120.0
LOOK_EVERY = 0.25
"""Looking at all pairs takes CPU from those who start."""


def measure(mesh: Mesh, members: int) -> list[Row]:
    """Seconds from the first and from the last start until each member has seen each other one;
    bytes that each sent for it."""
    seed = mesh.start()
    mesh.need(mesh.all_said("ready", "", seed.started, {seed.name}), 15, "the first member")
    mesh.rest(1.0)
    before = mesh.network.carried("near")
    others = [mesh.start() for _ in range(members - 1)]
    first, last = others[0].started, others[-1].started
    pairs = set(itertools.permutations(mesh.members, 2))

    def known() -> dict[tuple[str, str], float]:
        times: dict[tuple[str, str], float] = {}
        for when, by, about in mesh.said("joined", seed.started):
            times.setdefault((by, about), when)
        return times

    mesh.need(lambda: pairs <= known().keys(), WITHIN, "all know all", LOOK_EVERY)
    done = max(when for pair, when in known().items() if pair in pairs)
    carried = mesh.network.carried("near").since(before)
    return [
        {
            "all": done - first,
            "after_last": done - last,
            "bytes": carried.ip_bytes / members,
        }
    ]
