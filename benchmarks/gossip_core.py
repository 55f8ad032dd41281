"""G10, the core's part: memory of a table of 10,000 members, CPU of an idle node at 1,000.

python benchmarks/gossip_core.py
"""

import gc
import sys
import time
import tracemalloc

from meshcache.gossip import wire
from meshcache.gossip.core.settings import LAN
from meshcache.gossip.core.table import ALIVE, Table
from meshcache.gossip.sim.experiments.start import acquainted

ROWS, MEMBERS, SECONDS = 10_000, 1_000, 20.0


def memory() -> float:
    """MiB that a table of `ROWS` members takes, each row decoded as if it had come over a link."""
    frames = [
        wire.encode_rumour(
            wire.Alive(
                wire.Record(
                    index.to_bytes(16, "big"),
                    f"node-{index}",
                    f"10.0.{index >> 8}.{index & 255}:7946",
                    1_800_000_000_000 + index,
                    0,
                    0,
                    {"zone": f"zone-{index % 3}"},
                )
            )
        )
        for index in range(ROWS)
    ]
    gc.collect()
    tracemalloc.start()
    table = Table(LAN.members)
    for frame in frames:
        rumour = wire.decode_rumour(frame)
        assert isinstance(rumour, wire.Alive)
        table.merge(rumour.record.uid, ALIVE, 0, record=rumour.record, since=0)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table.rows) == ROWS
    return taken / 2**20


def idle_cpu() -> float:
    """Percent of a core that one node's core takes at rest, the simulated network's share in it."""
    network, _ = acquainted(MEMBERS, 1, settle=10)
    gc.freeze()
    began = time.process_time()
    network.run(SECONDS)
    return 100 * (time.process_time() - began) / SECONDS / MEMBERS


if __name__ == "__main__":
    sys.stdout.write(f"table of {ROWS} members: {memory():.1f} MiB\n")
    sys.stdout.write(f"idle core, {MEMBERS} members: {idle_cpu():.4f} % of a core\n")
