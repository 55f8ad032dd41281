"""SIGKILL of a member: until the first and until all the others take it for dead."""

from benchmarks.membership.mesh import Mesh, Row

WITHIN = 60.0
BETWEEN = (1.0, 2.0)
"""Of the lengths of most periods, so that a kill falls anywhere in them."""


def measure(mesh: Mesh, samples: int) -> list[Row]:
    """Seconds from the kill; and from its replacement's start until all know that one."""
    rows: list[Row] = []
    for _ in range(samples):
        mesh.rest(mesh.rng.uniform(*BETWEEN))
        victim, killed = mesh.pick(), mesh.now()
        mesh.kill(victim)
        observers = mesh.names()
        mesh.wait(mesh.all_said("failed", victim.name, killed, observers), WITHIN)
        failed = mesh.times("failed", victim.name, killed, observers)
        suspect = mesh.times("suspect", victim.name, killed, observers)
        age = killed - victim.started
        mesh.rest(1.0)
        _, joined = mesh.join()
        rows.append(
            {
                "suspect_first": suspect.first,
                "first": failed.first,
                "all": failed.all,
                "join": joined.all,
                "age": age,
            }
        )
    return rows
