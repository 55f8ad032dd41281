"""A graceful leave: until all know; and the join of who comes in its place."""

from benchmarks.membership.mesh import Mesh, Row

WITHIN = 60.0
REST = 2.0


def measure(mesh: Mesh, samples: int) -> list[Row]:
    """Seconds from asking the leaver until all know that it is gone, how many took it for a
    failure, and seconds from a newcomer's start until all know it."""
    rows: list[Row] = []
    for _ in range(samples):
        mesh.rest(REST)
        leaver, asked = mesh.pick(), mesh.now()
        observers = mesh.names(leaver)
        mesh.leave(leaver)
        mesh.wait(mesh.all_said(("left", "failed"), leaver.name, asked, observers), WITHIN)
        gone = mesh.times(("left", "failed"), leaver.name, asked, observers)
        failed = mesh.times("failed", leaver.name, asked, observers)
        mesh.wait_for_end(leaver)
        mesh.rest(REST)
        _, joined = mesh.join()
        rows.append({"all": gone.all, "as_failed": len(failed.by), "join": joined.all})
    return rows
