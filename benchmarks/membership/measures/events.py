"""An event of one member: until all have it."""

from benchmarks.membership.mesh import Mesh, Row

WITHIN = 40.0
BETWEEN = (0.5, 1.5)


def measure(mesh: Mesh, samples: int) -> list[Row]:
    """Seconds from its delivery at its origin (so the start of a command that sends it does not
    count) to the last member; None if it did not reach all."""
    rows: list[Row] = []
    for number in range(samples):
        mesh.rest(mesh.rng.uniform(*BETWEEN))
        origin, name, asked = mesh.pick(), f"event-{number}", mesh.now()
        observers = mesh.names()
        origin.running.event(name)
        mesh.wait(mesh.all_said("event", name, asked, observers), WITHIN)
        times = mesh.times("event", name, asked, observers)
        own = times.by.get(origin.name, 0.0)
        rows.append({"all": None if times.all is None else times.all - own})
    return rows
