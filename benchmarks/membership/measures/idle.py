"""What a mesh costs that is left alone."""

import statistics

from benchmarks.membership.mesh import Mesh, Row
from benchmarks.usage import Busy, cpu_seconds, memory
from meshcache.units import MIB

SECONDS = 30.0


def measure(mesh: Mesh, samples: int) -> list[Row]:
    """For each member: IP bytes sent a second, packets a second, percent of a core, MiB resident
    (RSS; a forked process counts what it shares) and its share of them (PSS)."""
    return [_once(mesh) for _ in range(samples)]


def _once(mesh: Mesh) -> Row:
    pids = [member.running.pid for member in mesh.members.values()]
    count = len(pids)
    began, before, busy = mesh.now(), mesh.network.carried("near"), Busy()
    cpu = sum(map(cpu_seconds, pids))
    mesh.rest(SECONDS)
    cpu = sum(map(cpu_seconds, pids)) - cpu
    carried, seconds = mesh.network.carried("near").since(before), mesh.now() - began
    return {
        "bytes": carried.ip_bytes / seconds / count,
        "packets": carried.packets / seconds / count,
        "cpu": 100 * cpu / seconds / count,
        "rss": statistics.median(memory(pid, "Rss") / MIB for pid in pids),
        "pss": statistics.median(memory(pid, "Pss") / MIB for pid in pids),
        "busy": busy.percent(),
    }
