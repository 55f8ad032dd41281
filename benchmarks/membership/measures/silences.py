"""A member that falls silent without a closed connection (SIGSTOP): until all suspect it, until
all take it for dead."""

import signal

from benchmarks.membership.mesh import Mesh, Row

WITHIN = 60.0
BETWEEN = (1.0, 2.0)


def measure(mesh: Mesh, samples: int) -> list[Row]:
    """Seconds from the stop. `suspect` is None where not all say so (serf's members do not tell
    each other's suspicions)."""
    rows: list[Row] = []
    for _ in range(samples):
        mesh.rest(mesh.rng.uniform(*BETWEEN))
        victim, stopped = mesh.pick(), mesh.now()
        mesh.signal(victim, signal.SIGSTOP)
        observers = mesh.names(victim)
        mesh.wait(mesh.all_said("failed", victim.name, stopped, observers), WITHIN)
        suspect = mesh.times("suspect", victim.name, stopped, observers)
        failed = mesh.times("failed", victim.name, stopped, observers)
        mesh.kill(victim)
        mesh.rest(1.0)
        mesh.join()
        rows.append(
            {
                "suspect_first": suspect.first,
                "suspect": suspect.all,
                "first": failed.first,
                "all": failed.all,
            }
        )
    return rows
