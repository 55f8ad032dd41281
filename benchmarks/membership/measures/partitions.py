"""A silent two-way cut of the cable for a minute, and its heal: half and half, and one alone."""

from collections.abc import Sequence

from benchmarks.membership.mesh import Member, Mesh, Row
from tests.support.namespaces import SIDES

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
    """Seconds from the cut until all on the near side have suspected (or failed), then failed, all
    on the far side, and the other way round; failures declared inside a side; seconds from the
    heal until all who were given up are back."""
    near, far = (
        [member for member in mesh.members.values() if member.side == side] for side in SIDES
    )
    cut = mesh.now()
    mesh.network.cut()
    mesh.rest(CUT)
    failed = [(by, about) for _, by, about in mesh.said("failed", cut)]
    sides = {member.name: member.side for member in mesh.members.values()}
    across = {pair for pair in failed if sides[pair[0]] != sides[pair[1]]}
    row: Row = {
        "suspect": _last(mesh, ("suspect", "failed"), cut, near, far),
        "failed": _last(mesh, ("failed",), cut, near, far),
        "failed_far": _last(mesh, ("failed",), cut, far, near),
        "inside": len(failed) - sum(pair in across for pair in failed),
    }
    healed = mesh.now()
    mesh.network.heal()

    def back() -> dict[tuple[str, str], float]:
        said = mesh.said("joined", healed) + mesh.said("alive", healed)
        return {(by, about): when for when, by, about in sorted(said, reverse=True)}

    mesh.wait(lambda: across <= back().keys(), HEALED_WITHIN, 0.1)
    times = back()
    complete = across and across <= times.keys()
    row["healed"] = max(times[pair] for pair in across) - healed if complete else None
    mesh.rest(SETTLE)
    return row


def _last(
    mesh: Mesh,
    words: Sequence[str],
    since: float,
    observers: Sequence[Member],
    subjects: Sequence[Member],
) -> float | None:
    """Seconds until the last of them said one of the words of the last."""
    names = {member.name for member in observers}
    latest = 0.0
    for member in subjects:
        last = mesh.times(words, member.name, since, names).all
        if last is None:
            return None
        latest = max(latest, last)
    return latest
