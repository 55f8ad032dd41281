"""A fifth of the members stands still for five seconds (SIGSTOP) and runs for one, five times."""

import signal

from benchmarks.membership.mesh import Mesh, Row

STOPPED, RUNNING, ROUNDS = 5.0, 1.0, 5
SETTLE = 20.0
"""Verdicts may come this long after the last stall."""


def measure(mesh: Mesh, samples: int) -> list[Row]:
    """Failures declared of anybody, though all live: of the stalled and of the others."""
    return [_once(mesh) for _ in range(samples)]


def _once(mesh: Mesh) -> Row:
    mesh.rest(5.0)
    stalled = mesh.rng.sample(list(mesh.members.values())[1:], len(mesh.members) // 5)
    began = mesh.now()
    for _ in range(ROUNDS):
        for number, seconds in ((signal.SIGSTOP, STOPPED), (signal.SIGCONT, RUNNING)):
            for member in stalled:
                mesh.signal(member, number)
            mesh.rest(seconds)
    mesh.rest(SETTLE)
    names = {member.name for member in stalled}
    failed = [about for _, _, about in mesh.said("failed", began)]
    return {
        "stalled": len(names),
        "of_stalled": sum(about in names for about in failed),
        "of_others": sum(about not in names for about in failed),
    }
