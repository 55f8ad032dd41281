"""A silent two-way cut of the cable for a minute, and its heal: half and half, and one alone."""

from collections.abc import Sequence

from benchmarks.membership.mesh import Member, Mesh, Row

CUT = 60.0
HEALED_WITHIN = 120.0
SETTLE = 10.0


def halves(mesh: Mesh, samples: int) -> list[Row]:
    """Half of the members on each side."""
    return _cut(mesh, samples, len(mesh.members) // 2)


def one(mesh: Mesh, samples: int) -> list[Row]:
    """One member alone on the far side."""
    return _cut(mesh, samples, 1)


def _cut(mesh: Mesh, samples: int, alone: int) -> list[Row]:
    """Move so many to the far side, then cut and heal again and again."""
    for _ in range(alone):
        mesh.leave(mesh.pick())
    mesh.rest(SETTLE)
    for _ in range(alone):
        mesh.join("far")
    mesh.rest(SETTLE)
    return [_once(mesh) for _ in range(samples)]


def _once(mesh: Mesh) -> Row:
    sides = [
        [member for member in mesh.members.values() if member.side == side]
        for side in ("near", "far")
    ]
    across = [(sides[0], sides[1]), (sides[1], sides[0])]

    def since(began: float, *words: str) -> float | None:
        """Seconds until the last of the pairs across the cut said one of these words."""
        last = [_last(mesh, words, began, observers, about) for observers, about in across]
        return None if None in last else max(last)  # type: ignore[type-var]

    cut = mesh.now()
    mesh.network.cut()
    mesh.rest(CUT)
    failed, suspect = since(cut, "failed"), since(cut, "suspect")
    inside = sum(
        (mesh.members[by].side == mesh.members[about].side)
        for _, by, about in mesh.said("failed", cut)
    )
    healed = mesh.now()
    mesh.network.heal()
    mesh.wait(lambda: since(healed, "joined", "alive") is not None, HEALED_WITHIN, 0.1)
    back = since(healed, "joined", "alive")
    mesh.rest(SETTLE)
    return {"suspect": suspect, "failed": failed, "inside": inside, "healed": back}


def _last(
    mesh: Mesh,
    words: Sequence[str],
    since: float,
    observers: Sequence[Member],
    subjects: Sequence[Member],
) -> float | None:
    names = {member.name for member in observers}
    times = [mesh.times(words, member.name, since, names).all for member in subjects]
    return None if None in times else max(times)  # type: ignore[type-var]
